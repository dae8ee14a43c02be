import type { Outcome } from './outcome.js';

/** The rights of a token. The rest of the request stays in the main thread. */
export type Grant =
  | {
      readonly kind: 'command';
      readonly stdin: boolean;
      readonly stdout: boolean;
      readonly stderr: boolean;
      readonly tty: boolean;
    }
  /** `ports` are those of the CRI request, for clients that cannot name a port per stream. */
  | { readonly kind: 'port-forward'; readonly ports: readonly number[] };

/** The first segment of a URL's path. */
export type Route = 'exec' | 'attach' | 'portforward';

export interface TerminalSize {
  readonly width: number;
  readonly height: number;
}

/** The data that the streaming thread starts with. */
export interface StreamWorkerData {
  readonly address: string;
  /** 0 lets the kernel choose. */
  readonly port: number;
  /** PEM. Undefined means plain HTTP. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  /** The number of CRI calls in progress, in shared memory. */
  readonly callsUnderWay: Int32Array;
}

/** Messages from the main thread to the streaming thread. `session` is the number of one client's connection. */
export type ToWorker =
  | { readonly kind: 'granted'; readonly session: number; readonly grant: Grant; readonly idleTimeoutMs: number }
  | { readonly kind: 'refused'; readonly session: number }
  /** Paths of FIFOs whose bytes go to the client. The thread replies with `opened` or `open-failed`. */
  | {
      readonly kind: 'read';
      readonly session: number;
      readonly stdout: string | undefined;
      readonly stderr: string | undefined;
    }
  /** The FIFO that receives the client's input. Undefined discards the input. */
  | { readonly kind: 'feed'; readonly session: number; readonly path: string | undefined }
  /** The process has ended: deliver what is in the FIFOs, then reply with `outputs-ended`. */
  | { readonly kind: 'drain'; readonly session: number; readonly idleMs: number }
  /** The network namespace to connect in. "" is the host's. */
  | { readonly kind: 'forward'; readonly session: number; readonly netnsPath: string }
  /** The last message to a client, whose connection is closed after it. */
  | { readonly kind: 'finish'; readonly session: number; readonly outcome: Outcome }
  | { readonly kind: 'stop' };

/** Messages from the streaming thread to the main thread. */
export type FromWorker =
  /** An error that no code handled. The thread continues. */
  | { readonly kind: 'unhandled'; readonly error: Error; readonly origin: string }
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'redeem'; readonly session: number; readonly route: Route; readonly token: string }
  /** The client has opened all its streams. */
  | { readonly kind: 'ready'; readonly session: number }
  | { readonly kind: 'opened'; readonly session: number }
  | { readonly kind: 'open-failed'; readonly session: number; readonly message: string }
  | { readonly kind: 'resize'; readonly session: number; readonly size: TerminalSize }
  /** The client has ended its input, and all of it is in the FIFO. */
  | { readonly kind: 'stdin-ended'; readonly session: number }
  | { readonly kind: 'outputs-ended'; readonly session: number }
  /** The connection has closed. No message follows for this session. */
  | { readonly kind: 'gone'; readonly session: number; readonly reason: string };
