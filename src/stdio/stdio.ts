/** What the rooms above know of a container's streams: FIFOs are made, copied to the CRI log, fanned out, closed. */

export interface ContainerIoRequest {
  readonly containerId: string;
  /** The directory for the FIFOs, made with mode 0700; removed with them by `remove`. */
  readonly fifoDir: string;
  readonly stdin: boolean;
  readonly stdinOnce: boolean;
  readonly terminal: boolean;
  /** Absolute; undefined: no log file. */
  readonly logPath: string | undefined;
  /** The pod's, in which `logPath` lies: no link below it is followed. Undefined: the directory of `logPath`. */
  readonly logDirectory?: string | undefined;
  /** Bytes; longer lines are split and tagged P; <= 0: no limit. */
  readonly maxLineBytes: number;
}

/** Paths for Tasks.Create; "" where there is no such stream. */
export interface FifoPaths {
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ExecCapture {
  readonly paths: FifoPaths;
  /**
   * Resolves when both streams have ended, or `drainTimeoutMs` after `stop` was called. Bytes past the limit are read and
   * dropped. RESOURCE_EXHAUSTED when the output of other commands has had all memory for 10 s; the command is held up
   * meanwhile.
   */
  readonly output: Promise<{ stdout: Uint8Array; stderr: Uint8Array; truncated: boolean }>;
  /** Says that the process has exited: the streams get `drainTimeoutMs` to end, then are closed (0: no limit). */
  stop(drainTimeoutMs: number): void;
  /** The output is needed no more: others may use its memory. Idempotent. */
  release(): void;
  /** Closes at once, releases, and removes the FIFOs. Idempotent. */
  remove(): Promise<void>;
}

export interface ContainerIo {
  readonly containerId: string;
  readonly paths: FifoPaths;
  /**
   * Opens the log file anew after a rotation by rename; no line is lost or doubled. UNAVAILABLE names a log that does not
   * answer; it is opened anew when it does.
   */
  reopenLog(): Promise<void>;
  /**
   * Copies what the streams carry from now on into these pipes (paths) too, and answers what ends that (idempotent).
   * The pipes are opened before it resolves, and closed when their stream ends. Who does not read holds the container
   * up, as a terminal does, for 30 s at most: then it is detached. UNAVAILABLE while the log does not answer.
   */
  attach(pipes: {
    readonly stdout?: string | undefined;
    readonly stderr?: string | undefined;
  }): Promise<() => Promise<void>>;
  /**
   * For a container that has ended: who is attached holds nothing up any more. Resolves when stdout and stderr have ended
   * and what they carried is in the log file; false after `timeoutMs`.
   */
  drained(timeoutMs: number): Promise<boolean>;
  /**
   * Stops copying, closes every descriptor; FIFOs stay (the container may run on without crid). A log that does not answer
   * is waited for 5 s, then closed when it does.
   */
  close(): Promise<void>;
  /** close, then remove the FIFOs and their directory. Idempotent. */
  remove(): Promise<void>;
}

export interface Stdio {
  /**
   * Makes the FIFOs (0600, pipes of 1 MiB), opens the log and begins to copy. An abort of `signal` ends the wait for a log
   * that does not answer, and takes back what was made.
   */
  open(request: ContainerIoRequest, signal?: AbortSignal): Promise<ContainerIo>;
  /**
   * After a restart of crid: opens FIFOs that are there and goes on, also where the log cannot be opened at the moment.
   * NOT_FOUND when the FIFOs are gone. A log that does not answer is not waited for.
   */
  reattach(request: Omit<ContainerIoRequest, 'fifoDir'>, paths: FifoPaths): Promise<ContainerIo>;
  /** FIFOs for an ExecSync, both streams captured up to `maxBytes` each. */
  capture(request: { fifoDir: string; name: string; maxBytes: number }): Promise<ExecCapture>;
  /** How many logs wait for file systems that do not answer. */
  stalledLogs(): number;
  /** Flushes and ends the threads, unless a file system holds one; FIFOs stay. */
  close(): Promise<void>;
}
