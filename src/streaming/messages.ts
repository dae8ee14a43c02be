import type { Outcome } from './outcome.js';

/** What a token allows; the rest of what was asked for stays with the server's thread. */
export type Grant =
  | {
      readonly kind: 'command';
      readonly stdin: boolean;
      readonly stdout: boolean;
      readonly stderr: boolean;
      readonly tty: boolean;
    }
  /** `ports`: for clients that cannot name them stream by stream. */
  | { readonly kind: 'port-forward'; readonly ports: readonly number[] };

/** The first segment of a URL's path. */
export type Route = 'exec' | 'attach' | 'portforward';

export interface TerminalSize {
  readonly width: number;
  readonly height: number;
}

/** What the streaming thread is born with. */
export interface StreamWorkerData {
  readonly address: string;
  /** 0 lets the kernel choose. */
  readonly port: number;
  readonly idleTimeoutMs: number;
  /** PEM; undefined: plain HTTP. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  /** In shared memory. */
  readonly callsUnderWay: Int32Array;
}

/** What the server's thread tells the streaming thread. `session` numbers one client's connection. */
export type ToWorker =
  | { readonly kind: 'granted'; readonly session: number; readonly grant: Grant }
  | { readonly kind: 'refused'; readonly session: number }
  /** Paths of pipes whose bytes go to the client; answered by `opened` or `open-failed`. */
  | {
      readonly kind: 'read';
      readonly session: number;
      readonly stdout: string | undefined;
      readonly stderr: string | undefined;
    }
  /** Where the client's input goes; undefined: nowhere. */
  | { readonly kind: 'feed'; readonly session: number; readonly path: string | undefined }
  /** The writers of the pipes are done: what is in them is delivered, then `outputs-ended`. */
  | { readonly kind: 'drain'; readonly session: number; readonly idleMs: number }
  /** Connections go to this network namespace; "": the host's. */
  | { readonly kind: 'forward'; readonly session: number; readonly netnsPath: string }
  /** The last word to a client; its connection is closed after it. */
  | { readonly kind: 'finish'; readonly session: number; readonly outcome: Outcome }
  | { readonly kind: 'stop' };

/** What the streaming thread tells. */
export type FromWorker =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'redeem'; readonly session: number; readonly route: Route; readonly token: string }
  /** The client has opened all its streams. */
  | { readonly kind: 'ready'; readonly session: number }
  | { readonly kind: 'opened'; readonly session: number }
  | { readonly kind: 'open-failed'; readonly session: number; readonly message: string }
  | { readonly kind: 'resize'; readonly session: number; readonly size: TerminalSize }
  /** The client has ended its input, and all of it is in the pipe. */
  | { readonly kind: 'stdin-ended'; readonly session: number }
  | { readonly kind: 'outputs-ended'; readonly session: number }
  /** The connection is gone; nothing follows for this session. */
  | { readonly kind: 'gone'; readonly session: number; readonly reason: string };
