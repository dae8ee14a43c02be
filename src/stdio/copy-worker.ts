/** A copying thread: reads FIFOs of containers or commands and writes logs, away from the server's event loop. */
import { readSync } from 'node:fs';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { CriError } from '../base/errors.js';
import { makeWayForOtherThreads } from '../host/process/threads.js';
import type { Command, CopyWorkerData, Report } from './shared/copy-messages.js';
import { createLogCounter } from './shared/log-counter.js';
import { createPulse } from './shared/pulse.js';
import { createCopies } from './worker/copies.js';
import { createReadiness } from './worker/readiness.js';

makeWayForOtherThreads();
const { epoll, bell, stopped, pulse, logCells } = workerData as CopyWorkerData;
const readiness = createReadiness(epoll, createPulse(pulse));
const copies = createCopies(readiness, createLogCounter(logCells), report);

// The thread waits in epoll, not in libuv. The bell signals a message, or that the thread must stop.
readiness.watch(bell, () => readSync(bell, new BigUint64Array(1)));
while (Atomics.load(stopped, 0) === 0) {
  readiness.turn();
  takeMessages();
}

function takeMessages(): void {
  if (!parentPort) return;
  for (let next = receiveMessageOnPort(parentPort); next; next = receiveMessageOnPort(parentPort)) {
    answer(next.message as Command);
  }
}

function answer(command: Command): void {
  try {
    if (command.kind === 'shut-down') shutDown();
    else copies.obey(command);
    report({ kind: 'done', request: command.request });
  } catch (thrown) {
    const { code, message } = CriError.from(thrown);
    report({ kind: 'failed', request: command.request, code, message });
  }
}

function shutDown(): void {
  copies.close();
  Atomics.store(stopped, 0, 1);
}

function report(what: Report, transfer: readonly ArrayBuffer[] = []): void {
  parentPort?.postMessage(what, [...transfer]);
}
