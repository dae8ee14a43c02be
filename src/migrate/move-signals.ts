import { CriError } from '../base/errors.js';

/** The parts of `process` that end it. */
export interface EndingProcess {
  on(event: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
  readonly stdout: { on(event: 'error', listener: () => void): unknown };
  readonly stderr: { on(event: 'error', listener: () => void): unknown };
}

/**
 * Keeps the process alive until the move has ended, because a move that stops half-way leaves the kubelet stopped. The
 * returned signal aborts at the first SIGINT or SIGTERM. The end of the terminal, or of a pipe that the output goes to,
 * ends nothing.
 */
export function holdSignals(process: EndingProcess, say: (line: string) => void): AbortSignal {
  const ending = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (!ending.signal.aborted) say(`${name}: the move is undone when its running command has ended`);
      ending.abort(new CriError('CANCELLED', `interrupted by ${name}`));
    });
  }
  process.on('SIGHUP', () => undefined);
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  return ending.signal;
}
