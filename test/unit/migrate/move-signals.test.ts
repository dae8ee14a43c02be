import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { holdSignals } from '../../../src/migrate/move-signals.js';

test('SIGINT ends a move once; a terminal or a pipe that ends does not', () => {
  const made = Object.assign(new EventEmitter(), { stdout: new EventEmitter(), stderr: new EventEmitter() });
  const lines: string[] = [];
  const signal = holdSignals(made, (line) => void lines.push(line));
  assert.ok(made.emit('SIGHUP'));
  // An emitter without a listener throws the error.
  for (const stream of [made.stdout, made.stderr]) stream.emit('error', new Error('EPIPE'));
  assert.equal(signal.aborted, false);
  made.emit('SIGINT');
  made.emit('SIGTERM');
  assert.deepEqual(
    [(signal.reason as Error).message, lines],
    ['interrupted by SIGINT', ['SIGINT: the move is undone when its running command has ended']],
  );
});
