import type { CodeName } from '../base/errors.js';
import type { PathBeneath } from '../host/open-beneath.js';

/** What the server's thread asks of a copying thread. `io` numbers one container's or one capture's streams. */
export type Command =
  | {
      readonly kind: 'open';
      readonly request: number;
      readonly io: number;
      readonly streams: readonly StreamSource[];
      readonly log: PathBeneath | undefined;
      /** False: a log that cannot be opened is tried again with each write. */
      readonly logMustOpen: boolean;
      readonly maxLineBytes: number;
    }
  | { readonly kind: 'reopen-log'; readonly request: number; readonly io: number }
  /** From now on what the streams carry goes into these pipes too; they are opened before it is answered. */
  | {
      readonly kind: 'attach';
      readonly request: number;
      readonly io: number;
      readonly attachment: number;
      readonly stdout: string | undefined;
      readonly stderr: string | undefined;
    }
  | { readonly kind: 'detach'; readonly request: number; readonly io: number; readonly attachment: number }
  /** The container has ended: what is left of its streams waits for nobody who is attached. */
  | { readonly kind: 'hurry'; readonly request: number; readonly io: number }
  | {
      readonly kind: 'capture';
      readonly request: number;
      readonly io: number;
      readonly streams: readonly StreamSource[];
      readonly maxBytes: number;
    }
  /**
   * Ends a capture with what there is; answered by `captured`. Unless `now`, one that waits for memory gets it first, or
   * fails.
   */
  | { readonly kind: 'finish-capture'; readonly request: number; readonly io: number; readonly now: boolean }
  | { readonly kind: 'close'; readonly request: number; readonly io: number }
  | { readonly kind: 'shut-down'; readonly request: number };

/** A command before it gets its number. */
export type NewCommand = Command extends infer T ? (T extends Command ? Omit<T, 'request'> : never) : never;

export type StreamName = 'stdout' | 'stderr';

export interface StreamSource {
  readonly name: StreamName;
  readonly path: string;
}

/** What the copying thread tells of its own accord. */
export type Notice = Exclude<Report, { kind: 'done' | 'failed' }>;

/** What the copying thread tells. Every command is answered by one `done` or `failed` with its number. */
export type Report =
  | { readonly kind: 'done'; readonly request: number }
  | { readonly kind: 'failed'; readonly request: number; readonly code: CodeName; readonly message: string }
  /** The stream's last writer is gone and all it wrote is in the log; `error`: it was given up instead. */
  | { readonly kind: 'stream-ended'; readonly io: number; readonly stream: StreamName; readonly error?: string }
  | {
      readonly kind: 'captured';
      readonly io: number;
      readonly stdout: Uint8Array;
      readonly stderr: Uint8Array;
      readonly truncated: boolean;
    }
  | { readonly kind: 'capture-failed'; readonly io: number; readonly code: CodeName; readonly message: string }
  /** Failed writes are told of at most once a second for a log; bytes since the log was opened. */
  | { readonly kind: 'log-trouble'; readonly io: number; readonly error: string; readonly droppedBytes: number }
  | { readonly kind: 'log-recovered'; readonly io: number; readonly droppedBytes: number };

/** What the copying thread is born with; the descriptors belong to the server's thread, which closes them. */
export interface CopyWorkerData {
  readonly epoll: number;
  /** An eventfd, rung after each message. */
  readonly bell: number;
  /** One cell, shared: not 0 ends the thread at its next turn. */
  readonly stopped: Int32Array;
  /** Where the bytes of logs are counted, and the logs that cannot be written (log-counters.ts). */
  readonly logCounters: SharedArrayBuffer;
  readonly failingLogs: Int32Array;
  readonly pulse: BigInt64Array;
}
