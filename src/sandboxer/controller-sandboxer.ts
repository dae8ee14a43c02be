import { PodSandboxConfig } from '../../generated/runtime/v1/api.js';
import { isCode } from '../base/errors.js';
import { nowNs } from '../host/syscall/clock.js';
import { anyOf } from '../containerd/any.js';
import type { Any, Containerd } from '../containerd/containerd.js';
import { controllerSpec } from '../spec/controller-spec.js';
import { killAndDeleteTask } from './kill-task.js';
import type { Sandboxer, SandboxEndpoint } from './sandboxer.js';

/** Type URL by which containerd's controllers recognise a pod's configuration. */
const CONFIG_TYPE_URL = 'runtime.v1.PodSandboxConfig';
const START_TIMEOUT_MS = 3 * 60_000;
const STOP_TIMEOUT_S = 10;
const READY = 'SANDBOX_READY';

/**
 * Runs sandboxes through a sandbox controller of containerd's (containerd.services.sandbox.v1.Controller), which may
 * run a virtual machine for a pod. The controller makes the sandbox's own files; crid makes the network.
 */
export function createControllerSandboxer(
  name: string,
  containerd: Pick<Containerd, 'controller' | 'containers' | 'tasks' | 'snapshots'>,
): Sandboxer {
  const { controller } = containerd;

  /**
   * After a restart of containerd a controller has forgotten its sandboxes, and leaves their tasks behind. A controller
   * is not asked to stop a sandbox that has ended: it may learn of the end later than crid, and fails until then.
   */
  const stop = async (id: string, signal: AbortSignal, { hasEnded } = { hasEnded: false }): Promise<void> => {
    const limits = { signal, timeoutMs: (STOP_TIMEOUT_S + 20) * 1000 };
    if (!hasEnded) await unlessUnknown(controller.stop(name, id, STOP_TIMEOUT_S, limits));
    await killAndDeleteTask(containerd, id, signal);
  };

  const shutdown = async (id: string, signal?: AbortSignal): Promise<void> =>
    unlessUnknown(controller.shutdown(name, id, { signal, timeoutMs: 60_000 }));

  return {
    name,
    async create(steps, plan) {
      await steps.step(
        'create sandbox',
        (signal) =>
          controller.create(
            name,
            {
              sandbox: plan.record,
              rootfs: [],
              options: anyOf(CONFIG_TYPE_URL, PodSandboxConfig.encode(plan.config).finish()),
              netnsPath: plan.netnsPath,
              annotations: plan.config.annotations,
            },
            { signal, timeoutMs: START_TIMEOUT_MS },
          ),
        () => shutdown(plan.id),
      );
      return { pid: undefined, createdAtNs: plan.record.createdAtNs ?? nowNs() };
    },
    start: (steps, id) =>
      steps.step(
        'start sandbox',
        async (signal) => {
          const limits = { signal, timeoutMs: START_TIMEOUT_MS };
          const { pid, address, version, spec } = await controller.start(name, id, limits);
          return { pid, endpoint: endpointOf(address, version), spec: usableSpec(name, spec) };
        },
        () => stop(id, AbortSignal.timeout(60_000)),
        { timeoutMs: START_TIMEOUT_MS, waitingOn: () => `sandboxer ${name}` },
      ),
    stop,
    remove: (steps, id, snapshotter) =>
      steps.step('shut down sandbox', async (signal) => {
        await shutdown(id, signal);
        // A restarted controller has forgotten the sandbox: remove its snapshot and container here.
        await containerd.snapshots(snapshotter).remove(id, { signal });
        await containerd.containers.delete(id, { signal });
      }),
    async update(record, fields, signal) {
      await unlessUnknown(controller.update(name, record, fields, { signal }));
    },
    async state({ id }, signal) {
      try {
        const { state, pid, address, version } = await controller.status(name, id, false, { signal });
        return state === READY
          ? { phase: 'running', pid, endpoint: endpointOf(address ?? '', version ?? 0) }
          : { phase: 'stopped' };
      } catch (thrown) {
        if (isCode(thrown, 'NOT_FOUND')) return { phase: 'unknown' };
        throw thrown;
      }
    },
    wait: (id, signal) => controller.wait(name, id, { signal }),
  };
}

const endpointOf = (address: string, version: number): SandboxEndpoint | undefined =>
  address === '' ? undefined : { address, version };

/** Throws INTERNAL for a spec that no container could use. */
function usableSpec(name: string, spec: Any | undefined): Any | undefined {
  if (spec === undefined || name === PODSANDBOX) return undefined;
  controllerSpec(spec, `sandboxer "${name}"`);
  return spec;
}

/** containerd's own controller returns the spec of its pause container, which says nothing about other containers. */
const PODSANDBOX = 'podsandbox';

/** Ignores NOT_FOUND (the sandbox is gone) and UNIMPLEMENTED (the controller does not have this call). */
async function unlessUnknown(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (thrown) {
    if (!isCode(thrown, 'NOT_FOUND') && !isCode(thrown, 'UNIMPLEMENTED')) throw thrown;
  }
}
