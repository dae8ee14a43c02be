import { closeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { createEpoll, createEventFd, signalEventFd } from '../../host/pipe/epoll.js';
import type { Command, CopyWorkerData, Report } from '../shared/copy-messages.js';
import { busyMs, newPulseCell } from '../shared/pulse.js';
import type { LogCounters } from './log-counters.js';

export interface RunningWorker {
  post(command: Command): void;
  /** How long the thread's current turn has taken, 0 while it waits. */
  busyMs(): number;
  readonly exited: Promise<void>;
}

export interface WorkerEvents {
  onMessage(report: Report): void;
  onError(error: Error): void;
  onExit(exitCode: number, livedMs: number): void;
}

/**
 * Starts one copying thread. The server's thread makes its epoll and its bell, and closes them even when it crashes.
 */
export function startWorker(url: URL, counters: LogCounters, events: WorkerEvents): RunningWorker {
  const startedMs = performance.now();
  const stopped = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  const workerData: CopyWorkerData = {
    epoll: createEpoll(),
    bell: createEventFd(),
    stopped,
    logCells: counters.cellsOfThread(),
    pulse: newPulseCell(),
  };
  const worker = new Worker(url, { workerData });

  // `process.exit` joins its threads, and without the bell this one would leave epoll_wait only after up to a second.
  const stopNow = (): void => {
    Atomics.store(stopped, 0, 1);
    signalEventFd(workerData.bell);
  };
  process.once('exit', stopNow);

  worker.on('message', (report: Report) => events.onMessage(report));
  worker.on('error', (error: Error) => events.onError(error));
  const exited = new Promise<void>((resolve) => {
    worker.once('exit', (exitCode) => {
      process.removeListener('exit', stopNow);
      closeSync(workerData.epoll);
      closeSync(workerData.bell);
      counters.forget(workerData.logCells);
      events.onExit(exitCode, performance.now() - startedMs);
      resolve();
    });
  });

  return {
    post(command) {
      worker.postMessage(command);
      signalEventFd(workerData.bell);
    },
    busyMs: () => busyMs(workerData.pulse),
    exited,
  };
}
