import { CriError } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { withLimit } from '../../base/time.js';
import { exitAtOnce } from '../../host/process/processes.js';
import type { Command, NewCommand, Notice, Report } from '../shared/copy-messages.js';
import { startWorker, type RunningWorker } from './copy-worker-handle.js';
import type { LogCounters } from './log-counters.js';

/** The server's handle of one copying thread. The thread starts with the first command, and again when it dies. */
export interface CopyThread {
  /**
   * Resolves when the thread has executed the command. A command without a reply when the thread dies is sent once
   * more. UNAVAILABLE after `close`, INTERNAL when the thread dies again.
   */
  send(command: NewCommand): Promise<void>;
  /**
   * How long the thread's current turn has taken, 0 while it waits. Turns are short unless a file system does not
   * respond.
   */
  busyMs(): number;
  /**
   * Ends the thread; no command may follow. Idempotent. It waits at most `CLOSE_LIMIT_MS` for a thread that is blocked
   * by a file system: that thread ends when its system call returns, or with the process.
   */
  close(): Promise<void>;
}

export interface CopyThreadOptions {
  /** For messages: `log` or `capture`. */
  readonly name: string;
  readonly log: Logger;
  readonly onError: (thrown: unknown, origin: string) => void;
  readonly onReport: (report: Notice) => void;
  /**
   * Returns the commands that reopen the streams in the thread that replaces a dead one. They are sent before all
   * others.
   */
  readonly onRestart: () => readonly NewCommand[];
  readonly counters: LogCounters;
  /** The script that the thread runs. */
  readonly workerUrl: URL;
}

export function createCopyThread(options: CopyThreadOptions): CopyThread {
  const title = `${options.name} copying thread`;
  const pending = new Map<number, Pending>();
  let worker: RunningWorker | undefined;
  let lastRequest = 0;
  let restarting = false;
  let closing: Promise<void> | undefined;

  const post = (entry: Pending): void => {
    pending.set(entry.command.request, entry);
    // A command that is sent before the streams are open again waits for `restart`.
    if (restarting) return;
    entry.attempts += 1;
    running().post(entry.command);
  };

  const submit = (command: NewCommand): Promise<void> =>
    new Promise((resolve, reject) => {
      const numbered = { ...command, request: (lastRequest += 1) } as Command;
      post({ command: numbered, resolve, reject, attempts: 0 });
    });

  const onMessage = (report: Report): void => {
    if (report.kind !== 'done' && report.kind !== 'failed') return options.onReport(report);
    const entry = pending.get(report.request);
    pending.delete(report.request);
    if (report.kind === 'done') entry?.resolve();
    else entry?.reject(new CriError(report.code, report.message));
  };

  const running = (): RunningWorker =>
    (worker ??= startWorker(options.workerUrl, options.counters, {
      onMessage,
      onError: (error) => options.onError(error, `the ${title}, which is replaced`),
      onExit(exitCode, livedMs) {
        worker = undefined;
        if (closing === undefined) onDeath(exitCode, livedMs);
      },
    }));

  const onDeath = (exitCode: number, livedMs: number): void => {
    restarting = true;
    const delayMs = livedMs < SHORT_LIFE_MS ? RESTART_DELAY_MS : 0;
    options.log.error({ exitCode, delayMs }, `the ${title} died, restarting it`);
    setTimeout(() => {
      if (closing === undefined) restart();
    }, delayMs);
  };

  const restart = (): void => {
    restarting = false;
    const unanswered = [...pending.values()];
    pending.clear();
    for (const command of options.onRestart()) {
      submit(command).catch((error: unknown) =>
        options.log.error({ err: CriError.from(error).message }, 'cannot reopen streams'),
      );
    }
    for (const entry of unanswered) {
      if (entry.attempts < MAX_ATTEMPTS) post(entry);
      else entry.reject(new CriError('INTERNAL', `${entry.command.kind}: the ${title} died`));
    }
  };

  const endThread = async (): Promise<void> => {
    const ending = worker;
    if (ending !== undefined) {
      submit({ kind: 'shut-down' }).catch(() => undefined);
      await withLimit(ending.exited, CLOSE_LIMIT_MS, () => {
        options.log.warn({ busyMs: ending.busyMs() }, `the ${title} does not end, a file system holds it`);
        // Registered last, so that it runs after the other exit listeners, such as the logger's.
        process.once('exit', exitAtOnce);
      });
    }
    for (const entry of pending.values()) entry.reject(new CriError('UNAVAILABLE', 'stdio is closed'));
    pending.clear();
  };

  return {
    send: (command) =>
      closing ? Promise.reject(new CriError('UNAVAILABLE', `${command.kind}: stdio is closed`)) : submit(command),
    busyMs: () => worker?.busyMs() ?? 0,
    close: () => (closing ??= endThread()),
  };
}

interface Pending {
  readonly command: Command;
  readonly resolve: () => void;
  readonly reject: (error: CriError) => void;
  attempts: number;
}

const CLOSE_LIMIT_MS = 5_000;
const SHORT_LIFE_MS = 10_000;
const RESTART_DELAY_MS = 200;
const MAX_ATTEMPTS = 2;
