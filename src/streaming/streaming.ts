import type { Outcome } from './shared/outcome.js';
import type { Grant, Route, TerminalSize } from './shared/session-messages.js';

export type { Outcome } from './shared/outcome.js';
export type { TerminalSize } from './shared/session-messages.js';

/** A client with a valid token, as its operation sees it. */
interface Client {
  /** Aborts when the client disconnects or crid stops. */
  readonly signal: AbortSignal;
}

/** The client of an exec or an attach. */
export interface CommandClient extends Client {
  /** Starts to read these FIFOs for the client. Resolves when they are open. */
  read(paths: { readonly stdout?: string | undefined; readonly stderr?: string | undefined }): Promise<void>;
  /** Sends the client's input into this FIFO. Undefined discards the input. */
  feed(path: string | undefined): void;
  /** Calls the listener on each change of the client's terminal size. A new listener gets the last size at once. */
  onResize(listener: (size: TerminalSize) => void): void;
  /** Resolves when the client has ended its input and all of it is in the FIFO. */
  readonly stdinEnded: Promise<void>;
  /** Resolves when every FIFO that `read` opened has ended. */
  readonly outputsEnded: Promise<void>;
  /**
   * Called when the process has ended. Resolves when the contents of the FIFOs were delivered, or after `idleMs` of
   * silence if other processes keep them open.
   */
  drain(idleMs: number): Promise<void>;
}

export interface ForwardClient extends Client {
  /** Connects into the network namespace at this path ("" is the host's). */
  forward(netnsPath: string): void;
}

export interface CommandRequest {
  readonly route: Exclude<Route, 'portforward'>;
  readonly streams: Omit<Extract<Grant, { kind: 'command' }>, 'kind'>;
  /** Called once, when the client has opened its streams. The returned outcome or the error is sent to the client. */
  readonly serve: (client: CommandClient) => Promise<Outcome>;
}

export interface ForwardRequest {
  readonly route: 'portforward';
  readonly ports: readonly number[];
  /** The connection is closed when this settles. */
  readonly serve: (client: ForwardClient) => Promise<void>;
}

/** The streaming server, as the operations see it. */
export interface Streaming {
  /**
   * Returns a URL that is valid for one use within a minute. RESOURCE_EXHAUSTED when 1,000 URLs are unused; UNAVAILABLE
   * while the server is not up.
   */
  url(request: CommandRequest | ForwardRequest): string;
  /** Ends every session and stops listening. Resolves when their operations are over, or after 10 s. */
  close(): Promise<void>;
}
