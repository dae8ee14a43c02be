import type { Outcome } from './outcome.js';
import type { Grant, Route, TerminalSize } from './messages.js';

export type { Outcome } from './outcome.js';
export type { TerminalSize } from './messages.js';

/** What a client that came with a good token looks like to the operation behind it. */
interface Client {
  /** Aborts when the client has gone, or crid stops. */
  readonly signal: AbortSignal;
}

/** The client of an exec or an attach. */
export interface CommandClient extends Client {
  /** Begins to read these pipes for the client; resolves when they are open. */
  read(paths: { readonly stdout?: string | undefined; readonly stderr?: string | undefined }): Promise<void>;
  /** Lets the client's input into this pipe; undefined throws it away. */
  feed(path: string | undefined): void;
  /** The client's terminal has changed; the last size is told again to a new listener. */
  onResize(listener: (size: TerminalSize) => void): void;
  /** Resolves when the client has ended its input and all of it is in the pipe. */
  readonly stdinEnded: Promise<void>;
  /** Resolves when every pipe that `read` opened has ended. */
  readonly outputsEnded: Promise<void>;
  /**
   * The process has ended: resolves when what is in the pipes has been delivered, and after `idleMs` of silence where
   * others hold them open.
   */
  drain(idleMs: number): Promise<void>;
}

export interface ForwardClient extends Client {
  /** Lets connections through, into the network namespace at this path ("": the host's). */
  forward(netnsPath: string): void;
}

export interface CommandRequest {
  readonly route: Exclude<Route, 'portforward'>;
  readonly streams: Omit<Extract<Grant, { kind: 'command' }>, 'kind'>;
  /** Called once, when the client has opened its streams; what it resolves with, or throws, is told to the client. */
  readonly serve: (client: CommandClient) => Promise<Outcome>;
}

export interface ForwardRequest {
  readonly route: 'portforward';
  readonly ports: readonly number[];
  /** The connection is closed when it settles. */
  readonly serve: (client: ForwardClient) => Promise<void>;
}

/** The streaming server as the operations see it. */
export interface Streaming {
  /**
   * A URL that can be used once, within a minute. RESOURCE_EXHAUSTED when 1,000 of them wait to be used; UNAVAILABLE
   * while the server is not up.
   */
  url(request: CommandRequest | ForwardRequest): string;
  /** Ends every session and stops listening; resolves when their operations are over, or after 10 s. */
  close(): Promise<void>;
}
