import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CriError, type CodeName } from '../../../src/base/errors.js';
import type { Containerd, ContainerRecord } from '../../../src/containerd/containerd.js';
import { decodeStatus, STATUS_EXTENSION } from '../../../src/state/stored.js';
import { createState, type State } from '../../../src/state/state.js';
import { transition, type Container } from '../../../src/state/records.js';
import { container } from '../stats/records.js';

const exits = (one: Container): Container => ({
  ...one,
  state: transition(one.state, { kind: 'exited', atNs: 9n, exitCode: 3, oomKilled: false }),
});
const restarts = (one: Container): Container => ({ ...one, logPath: '/elsewhere' });

/** A state with one running container. containerd's updates wait for `go`. */
function scene(go: Promise<void> = Promise.resolve()) {
  const persisted: number[] = [];
  const containers = {
    update: async (record: Partial<ContainerRecord>) => {
      await go;
      persisted.push(decodeStatus(record.extensions![STATUS_EXTENSION]!, 'c').exitCode);
    },
  } as unknown as Containerd['containers'];
  const state = createState({ containers });
  state.containers.put(container('c', 'pod', { state: { phase: 'running', pid: 7, startedAtNs: 1n } }));
  return { state, persisted, now: () => shown(state) };
}

const shown = ({ containers }: State): object => {
  const { state, logPath } = containers.byId('c')!;
  return { phase: state.phase, logPath };
};

test('a fact is published at once and persisted later', async () => {
  const { state, persisted } = scene();
  const published = state.publishContainer('c', exits);
  assert.deepEqual([published.state.phase, state.containers.byId('c'), persisted], ['exited', published, []]);
  await state.persistContainer('c');
  assert.deepEqual(persisted, [3]);
});

test('an exit that is published while a change is being persisted is not lost, and is persisted after it', async () => {
  let go = (): void => undefined;
  const { state, persisted, now } = scene(new Promise((resolve) => (go = resolve)));
  const changing = state.updateContainer('c', restarts);
  await new Promise((resolve) => setImmediate(resolve));
  state.publishContainer('c', exits);
  const persisting = state.persistContainer('c');
  go();
  await Promise.all([changing, persisting]);
  assert.deepEqual([now(), persisted], [{ phase: 'exited', logPath: '/elsewhere' }, [0, 3]]);
});

test('a container that is removed while a change of it is being persisted does not come back', async () => {
  let go = (): void => undefined;
  const { state } = scene(new Promise((resolve) => (go = resolve)));
  const changing = state.updateContainer('c', restarts);
  await new Promise((resolve) => setImmediate(resolve));
  state.containers.delete('c');
  go();
  await assert.rejects(changing, { code: 'NOT_FOUND' });
  await state.persistContainer('c');
  assert.deepEqual(state.containers.list(), []);
});

test('a change is published if containerd has no record or cannot send it back, but not after other failures', async () => {
  const phaseAfter = async (code: CodeName, message = 'told by containerd'): Promise<string | undefined> => {
    const update = (): Promise<never> => Promise.reject(new CriError(code, message));
    const state = createState({ containers: { update } } as unknown as Pick<Containerd, 'containers'>);
    state.containers.put(container('c', 'p', { state: { phase: 'running', pid: 7, startedAtNs: 1n } }));
    const ended = { phase: 'exited', startedAtNs: 1n, finishedAtNs: 2n, exitCode: 0, reason: '', message: '' } as const;
    await state.updateContainer('c', (one) => ({ ...one, state: ended })).catch(() => undefined);
    return state.containers.byId('c')?.state.phase;
  };
  assert.deepEqual(
    [
      await phaseAfter('NOT_FOUND'),
      await phaseAfter('RESOURCE_EXHAUSTED', 'grpc: trying to send message larger than max (16777300 vs. 16777216)'),
      await phaseAfter('RESOURCE_EXHAUSTED', 'no space left on device'),
      await phaseAfter('UNAVAILABLE'),
    ],
    ['exited', 'exited', 'running', 'running'],
  );
});
