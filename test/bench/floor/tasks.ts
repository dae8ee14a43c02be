import { onDispose } from '../../../tools/stack/disposers.js';
import type { Stack } from '../../../tools/stack/stack.js';
import { jsonAny, PROCESS_TYPE_URL, SPEC_TYPE_URL } from '../../../src/containerd/any.js';
import type { Containerd } from '../../../src/containerd/containerd.js';
import { RUNC_RUNTIME, runtimeOptions } from '../../../src/containerd/runtime-options.js';
import type { FloorTimer } from './floor-timer.js';
import { specOf, type Spec } from './runc.js';

const SNAPSHOTTER = 'overlayfs';
/** Keeps the snapshot from containerd's garbage collection before it has a container. */
const KEPT = { 'containerd.io/gc.root': new Date().toISOString() };
const SIGKILL = 9;
const NO_IO = { stdin: '', stdout: '', stderr: '', terminal: false };
const SLEEP = ['sleep', '3600'];

/** Starts a container by containerd's API alone: a record, a snapshot, a task with a shim of its own, an exec. */
export async function taskFloor(
  timer: FloorTimer,
  containerd: Containerd,
  stack: Stack,
  spec: Spec,
  rounds: number,
): Promise<void> {
  const snapshots = containerd.snapshots(SNAPSHOTTER);
  const { containers, tasks } = containerd;
  const committed = (await snapshots.list([])).filter(({ kind }) => kind === 'committed');
  const top = committed.find(({ name }) => !committed.some(({ parent }) => parent === name));
  if (!top) throw new Error('the image of the floor has no snapshot');
  const id = `floor-${process.pid}`;
  const record = {
    ...{ id, labels: {}, image: '', snapshotter: SNAPSHOTTER, snapshotKey: id, extensions: {}, sandbox: '' },
    runtime: { name: RUNC_RUNTIME, options: runtimeOptions(RUNC_RUNTIME, { BinaryName: stack.runcPath }) },
    spec: jsonAny(SPEC_TYPE_URL, specOf(spec, SLEEP, 'floor-task')),
  };
  const command = specOf(spec, ['true'], 'floor-task').process;
  const exec = { containerId: id, execId: 'exec' };
  const exit = () => Promise.all([tasks.wait({ containerId: id }), tasks.kill({ containerId: id, signal: SIGKILL })]);
  const removeAtEnd = onDispose(`task ${id}`, async () => {
    await exit().catch(() => undefined);
    await tasks.delete(id);
    await containers.delete(id);
    await snapshots.remove(id);
  });
  await timer.rounds(rounds, async () => {
    await timer.time('containerd: a call that does nothing (version)', () => containerd.introspection.version());
    const rootfs = await timer.time('containerd: snapshots.prepare', () => snapshots.prepare(id, top.name, KEPT));
    await timer.time('containerd: containers.create', () => containers.create(record));
    await timer.time('containerd: tasks.create, a shim and runc create', () =>
      tasks.create({ containerId: id, rootfs, io: NO_IO }),
    );
    await timer.time('containerd: tasks.start, runc start', () => tasks.start({ containerId: id }));
    await timer.time('containerd: exec of `true`, four calls', async () => {
      await tasks.exec({ ...exec, io: NO_IO, spec: jsonAny(PROCESS_TYPE_URL, command) });
      await Promise.all([tasks.wait(exec), tasks.start(exec)]);
      await tasks.deleteExec(exec);
    });
    await timer.time('containerd: tasks.kill until the exit', exit);
    await timer.time('containerd: tasks.delete, runc delete', () => tasks.delete(id));
    await timer.time('containerd: containers.delete', () => containers.delete(id));
    await timer.time('containerd: snapshots.remove', () => snapshots.remove(id));
  });
  await removeAtEnd();
}
