import { isCode } from '../base/errors.js';
import { nowNs } from '../host/syscall/clock.js';
import type { Containerd } from '../containerd/containerd.js';
import { deleteOciContainer } from '../host/process/oci-runtime.js';
import { CLEANUP_LIMIT_MS, killShim } from '../host/process/shims.js';
import type { Steps } from '../operation/steps.js';
import { specAny } from '../spec/spec-json.js';
import { PAUSE } from '../state/pod-view.js';
import { SANDBOX_METADATA_EXTENSION } from '../state/stored.js';
import { killAndDeleteTask } from './kill-task.js';
import type { CreatedSandbox, Sandboxer, SandboxPlan, SandboxState, SandboxToStop } from './sandboxer.js';

const NO_IO = { stdin: '', stdout: '', stderr: '', terminal: false };

type PauseContainerd = Pick<Containerd, 'containers' | 'tasks' | 'snapshots' | 'namespace' | 'address'>;

/**
 * Runs the sandbox as an ordinary container that sleeps: its namespaces are the pod's, its shim serves the whole pod.
 */
export function createPauseSandboxer(containerd: PauseContainerd): Sandboxer {
  const { containers, tasks, snapshots } = containerd;

  const deleteTask = async (
    id: string,
    signal: AbortSignal | undefined,
    { ociRuntime, hasEnded }: SandboxToStop,
  ): Promise<void> => {
    const { namespace, address } = containerd;
    const { found } = await killAndDeleteTask(containerd, id, signal);
    if (found) return;
    await killShim({ namespace, id, address }, { graceMs: hasEnded ? 0 : CLEANUP_LIMIT_MS, signal });
    if (ociRuntime) await deleteOciContainer(ociRuntime, namespace, id);
  };

  const create = async (steps: Steps, plan: SandboxPlan): Promise<CreatedSandbox> => {
    const { id } = plan;
    const rootfs = await steps.step(
      'prepare pause snapshot',
      (signal) =>
        snapshots(plan.snapshotter).prepare(id, plan.image.chainId, plan.snapshotLabels, {
          signal,
          lease: plan.lease,
        }),
      () => snapshots(plan.snapshotter).remove(id),
    );
    const record = await steps.step(
      'record pause container',
      (signal) =>
        containers.create(
          {
            id,
            labels: plan.labels,
            image: plan.image.name,
            runtime: plan.runtime,
            spec: specAny(plan.spec),
            snapshotter: plan.snapshotter,
            snapshotKey: id,
            extensions: { [SANDBOX_METADATA_EXTENSION]: plan.metadata },
            // The pause container belongs to no sandbox. The pod's containers find its shim by its id.
            sandbox: '',
          },
          { signal, lease: plan.lease },
        ),
      () => containers.delete(id),
    );
    const { pid } = await steps.step(
      'create pause task',
      (signal) =>
        tasks.create(
          { containerId: id, rootfs, io: NO_IO, runtimePath: plan.runtimePath || undefined },
          { signal, timeoutMs: 120_000 },
        ),
      () => deleteTask(id, undefined, { ...plan, hasEnded: false }),
    );
    return { pid, createdAtNs: record.createdAtNs ?? nowNs() };
  };

  const state = async ({ id }: { readonly id: string }, signal: AbortSignal): Promise<SandboxState> => {
    try {
      const task = await tasks.get({ containerId: id }, { signal });
      if (task.status === 'running') return { phase: 'running', pid: task.pid };
      return { phase: task.status === 'created' ? 'created' : 'stopped' };
    } catch (thrown) {
      if (isCode(thrown, 'NOT_FOUND')) return { phase: 'unknown' };
      throw thrown;
    }
  };

  return {
    name: PAUSE,
    create,
    start: (steps, id) =>
      steps.step('start pause task', (signal) => tasks.start({ containerId: id }, { signal, timeoutMs: 60_000 })),
    stop: deleteTask,
    remove: (steps, id, snapshotter) =>
      steps.step('remove pause container', async (signal) => {
        await snapshots(snapshotter).remove(id, { signal });
        await containers.delete(id, { signal });
      }),
    update: () => Promise.resolve(),
    state,
    wait: (id, signal) => tasks.wait({ containerId: id }, { signal }),
  };
}
