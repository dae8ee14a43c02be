/** A streaming thread that ignores `stop`, dies after it listens, or never listens: see `BEHAVIOUR`. */
import { parentPort, workerData } from 'node:worker_threads';
import { BEHAVIOUR, CELL } from './stubborn-behaviour.js';

const { callsUnderWay: cells } = workerData as { callsUnderWay: Int32Array };
const behaviour = Atomics.sub(cells, CELL.behaviour, 1);
if (behaviour !== BEHAVIOUR.starts) parentPort?.postMessage({ kind: 'listening', port: 1 });
if (behaviour === BEHAVIOUR.dies) setTimeout(() => process.exit(1), 10);
setInterval(() => Atomics.add(cells, CELL.beats, 1), 5);
