import type { CodeName } from '../../base/errors.js';
import type { PathBeneath } from '../../host/files/open-beneath.js';
import type { LogCells } from './log-counter.js';

/** A command from the server's thread to a copying thread. `io` numbers the streams of one container or one capture. */
export type Command =
  | {
      readonly kind: 'open';
      readonly request: number;
      readonly io: number;
      readonly streams: readonly StreamSource[];
      readonly log: PathBeneath | undefined;
      /** False: if the log cannot be opened, each write tries again. */
      readonly logMustOpen: boolean;
      readonly maxLineBytes: number;
    }
  | { readonly kind: 'reopen-log'; readonly request: number; readonly io: number }
  /** Copies the streams' output from now on into these pipes too; the pipes are open before the reply. */
  | {
      readonly kind: 'attach';
      readonly request: number;
      readonly io: number;
      readonly attachment: number;
      readonly stdout: string | undefined;
      readonly stderr: string | undefined;
    }
  | { readonly kind: 'detach'; readonly request: number; readonly io: number; readonly attachment: number }
  /** The container has ended: the rest of its streams does not wait for attached clients. */
  | { readonly kind: 'hurry'; readonly request: number; readonly io: number }
  | {
      readonly kind: 'capture';
      readonly request: number;
      readonly io: number;
      readonly streams: readonly StreamSource[];
      readonly maxBytes: number;
    }
  /**
   * Ends a capture with the output so far, which `captured` reports. Unless `now`, a capture that waits for memory
   * first gets it or fails.
   */
  | { readonly kind: 'finish-capture'; readonly request: number; readonly io: number; readonly now: boolean }
  | { readonly kind: 'close'; readonly request: number; readonly io: number }
  | { readonly kind: 'shut-down'; readonly request: number };

/** A command without its request number. */
export type NewCommand = Command extends infer T ? (T extends Command ? Omit<T, 'request'> : never) : never;

export type StreamName = 'stdout' | 'stderr';

export interface StreamSource {
  readonly name: StreamName;
  readonly path: string;
}

/** The path of a FIFO's spool: the bytes that were taken from the FIFO and are not in the log yet. */
export const spoolPath = (fifo: string): string => `${fifo}.taken`;

/** A message of the copying thread that is not the reply to a command. */
export type Notice = Exclude<Report, { kind: 'done' | 'failed' }>;

/** A message of the copying thread. Each command gets one `done` or `failed` with its request number. */
export type Report =
  | { readonly kind: 'done'; readonly request: number }
  | { readonly kind: 'failed'; readonly request: number; readonly code: CodeName; readonly message: string }
  /** The stream's last writer is gone and all its output is in the log; `error`: the copying failed instead. */
  | { readonly kind: 'stream-ended'; readonly io: number; readonly stream: StreamName; readonly error?: string }
  | {
      readonly kind: 'captured';
      readonly io: number;
      readonly stdout: Uint8Array;
      readonly stderr: Uint8Array;
      readonly truncated: boolean;
    }
  | { readonly kind: 'capture-failed'; readonly io: number; readonly code: CodeName; readonly message: string }
  /** Failed writes are reported at most once a second per log; `droppedBytes` counts since the log was opened. */
  | { readonly kind: 'log-trouble'; readonly io: number; readonly error: string; readonly droppedBytes: number }
  | { readonly kind: 'log-recovered'; readonly io: number; readonly droppedBytes: number };

/** The worker data of a copying thread. The descriptors belong to the server's thread, which closes them. */
export interface CopyWorkerData {
  readonly epoll: number;
  /** An eventfd, signalled after each message. */
  readonly bell: number;
  /** Shared stop flag: the thread exits at its next loop turn once it is non-zero. */
  readonly stopped: Int32Array;
  readonly logCells: LogCells;
  readonly pulse: BigInt64Array;
}
