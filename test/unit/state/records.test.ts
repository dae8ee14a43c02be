import assert from 'node:assert/strict';
import { test } from 'node:test';
import { transition, type ContainerEvent, type ContainerState } from '../../../src/state/records.js';

const created: ContainerState = { phase: 'created' };
const running: ContainerState = { phase: 'running', pid: 7, startedAtNs: 10n };
const after = (state: ContainerState, ...events: ContainerEvent[]): ContainerState => events.reduce(transition, state);
const exited = (exitCode: number, reason: string, startedAtNs = 10n): ContainerState => ({
  phase: 'exited',
  startedAtNs,
  finishedAtNs: 20n,
  exitCode,
  reason,
  message: '',
});

test('a container runs once it has started, and keeps its first exit', () => {
  assert.deepEqual(after(created, { kind: 'started', pid: 7, startedAtNs: 10n }), running);
  assert.deepEqual(
    after(
      running,
      { kind: 'exited', atNs: 20n, exitCode: 0, oomKilled: false },
      { kind: 'exited', atNs: 30n, exitCode: 9, oomKilled: false },
    ),
    exited(0, 'Completed'),
  );
  assert.deepEqual(after(running, { kind: 'exited', atNs: 20n, exitCode: 3, oomKilled: false }), exited(3, 'Error'));
});

test('an OOM is the reason whether it is noticed before or after the exit', () => {
  const before = after(running, { kind: 'exited', atNs: 20n, exitCode: 137, oomKilled: true });
  const late = after(
    running,
    { kind: 'exited', atNs: 20n, exitCode: 137, oomKilled: false },
    { kind: 'exited', atNs: 0n, exitCode: 137, oomKilled: true },
  );
  assert.deepEqual([before, late], [exited(137, 'OOMKilled'), exited(137, 'OOMKilled')]);
});

test('a container that ended while its start was being stored began no later than it ended', () => {
  const late: ContainerState = { phase: 'running', pid: 7, startedAtNs: 25n };
  const event: ContainerEvent = { kind: 'exited', atNs: 20n, exitCode: 0, oomKilled: false };
  assert.deepEqual(after(late, event), exited(0, 'Completed', 20n));
});

test('an exit before the start was stored ends a container that was never shown as running', () => {
  assert.deepEqual(
    after(
      created,
      { kind: 'exited', atNs: 20n, exitCode: 1, oomKilled: false },
      { kind: 'started', pid: 7, startedAtNs: 10n },
    ),
    exited(1, 'Error', 20n),
  );
});

test('a failed start is exit code 128 with its message; a missing task is 255', () => {
  assert.deepEqual(after(created, { kind: 'start-failed', atNs: 20n, message: 'no such file' }), {
    ...exited(128, 'StartError', 20n),
    message: 'no such file',
  });
  assert.deepEqual(after(running, { kind: 'lost', atNs: 20n }), exited(255, 'Unknown'));
  // The start was recorded, a later step failed, and the task was deleted again.
  assert.deepEqual(after(running, { kind: 'start-failed', atNs: 20n, message: 'late' }), {
    ...exited(128, 'StartError'),
    message: 'late',
  });
  assert.deepEqual(
    after(exited(3, 'Error', 15n), { kind: 'start-failed', atNs: 20n, message: 'late' }),
    exited(3, 'Error', 15n),
  );
});

test('the message of a failed start is kept up to 16 KiB, and truncated beyond', () => {
  const messageOf = (message: string): string => {
    const state = after(created, { kind: 'start-failed', atNs: 20n, message });
    return state.phase === 'exited' ? state.message : '';
  };
  const full = 'ä'.repeat(8 << 10);
  assert.deepEqual([messageOf(full), messageOf(`${full}ä`)], [full, `${full}…`]);
});
