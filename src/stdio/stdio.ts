/**
 * The interface of the stdio module: it makes FIFOs, copies them to the CRI log and to attached clients, and closes
 * them.
 */

export interface ContainerIoRequest {
  readonly containerId: string;
  /** The directory for the FIFOs, made with mode 0700; removed with them by `remove`. */
  readonly fifoDir: string;
  readonly stdin: boolean;
  readonly terminal: boolean;
  /** Absolute; undefined: no log file. */
  readonly logPath: string | undefined;
  /**
   * The pod's log directory, which contains `logPath`: no link below it is followed. Undefined: the directory of
   * `logPath`.
   */
  readonly logDirectory?: string | undefined;
  /** Bytes; longer lines are split and tagged P; <= 0: no limit. */
  readonly maxLineBytes: number;
}

/** Paths for Tasks.Create; "" for a stream that does not exist. */
export interface FifoPaths {
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ExecCapture {
  readonly paths: FifoPaths;
  /**
   * Resolves when both streams have ended, or `drainTimeoutMs` after `stop` was called. Bytes past the limit are read
   * and dropped. RESOURCE_EXHAUSTED when the output of other commands has used all memory for 10 s; the command is
   * blocked meanwhile.
   */
  readonly output: Promise<{ stdout: Uint8Array; stderr: Uint8Array; truncated: boolean }>;
  /** Call it when the process has exited: the streams get `drainTimeoutMs` to end, then are closed (0: no limit). */
  stop(drainTimeoutMs: number): void;
  /** Releases the memory of the output for other commands. Idempotent. */
  release(): void;
  /** Closes at once, releases, and removes the FIFOs. Idempotent. */
  remove(): Promise<void>;
}

export interface ContainerIo {
  readonly containerId: string;
  readonly paths: FifoPaths;
  /**
   * Opens the log file again after a rotation by rename; no line is lost or duplicated. UNAVAILABLE, with the log's
   * path, when its file system does not respond; the file may still be opened again once it responds.
   */
  reopenLog(): Promise<void>;
  /**
   * Also copies the output from now on into these pipes (paths), and returns an idempotent function that ends the
   * copying. The pipes are opened before it resolves, and closed when their stream ends. A client that does not read
   * blocks the container, as a terminal does, for 30 s at most: then it is detached. UNAVAILABLE while the log does not
   * respond.
   */
  attach(pipes: {
    readonly stdout?: string | undefined;
    readonly stderr?: string | undefined;
  }): Promise<() => Promise<void>>;
  /**
   * For a container that has ended: attached clients block nothing any more. Resolves to true when stdout and stderr
   * have ended and their output is in the log file; to false after `timeoutMs`.
   */
  drained(timeoutMs: number): Promise<boolean>;
  /**
   * Stops copying and closes every descriptor; the FIFOs stay (the container may keep running without crid). A log that
   * does not respond is waited for 5 s, then closed when it responds.
   */
  close(): Promise<void>;
  /** close, then remove the FIFOs and their directory. Idempotent. */
  remove(): Promise<void>;
}

export interface LogCounts {
  /** Bytes since crid started. */
  readonly written: bigint;
  readonly dropped: bigint;
  /** The number of logs that cannot be written now. */
  readonly failing: bigint;
}

export interface Stdio {
  /**
   * Makes the FIFOs (0600, pipes of 1 MiB), opens the log and starts to copy. An abort of `signal` ends the wait for a
   * log that does not respond, and removes the FIFOs.
   */
  open(request: ContainerIoRequest, signal?: AbortSignal): Promise<ContainerIo>;
  /**
   * After a restart of crid: opens existing FIFOs and continues, also when the log cannot be opened at the moment.
   * NOT_FOUND when the FIFOs are gone. It waits at most 5 s for a log that does not respond.
   */
  reattach(request: Omit<ContainerIoRequest, 'fifoDir'>, paths: FifoPaths): Promise<ContainerIo>;
  /** Returns the streams of a container since `open` or `reattach`; undefined when it has none. */
  of(containerId: string): ContainerIo | undefined;
  /**
   * For a container whose task is gone: waits until all its output is in the log, at most 10 s, and removes its
   * streams. Idempotent.
   */
  end(containerId: string): Promise<void>;
  /** Removes the streams of a container at once. Idempotent. */
  remove(containerId: string): Promise<void>;
  /** Makes the FIFOs for an ExecSync and captures both streams, up to `maxBytes` each. */
  capture(request: { fifoDir: string; name: string; maxBytes: number }): Promise<ExecCapture>;
  /** The number of logs on file systems that do not respond. */
  stalledLogs(): number;
  logCounts(): LogCounts;
  /** Flushes and ends the threads, except a thread that a file system blocks; the FIFOs stay. */
  close(): Promise<void>;
}
