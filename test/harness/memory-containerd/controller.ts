import { CriError, notFound } from '../../../src/base/errors.js';
import type { Exit, SandboxController } from '../../../src/containerd/containerd.js';
import type { Call } from './calls.js';
import type { MemorySandbox, Store } from './store.js';

const SIGKILL = 9;

/** A sandbox controller of any name, which starts sandboxes as `store.started` says. */
export function memoryController(store: Store, call: Call): SandboxController {
  const { running } = store;
  const existing = (id: string): MemorySandbox => {
    const sandbox = running.get(id);
    if (!sandbox) throw notFound('sandbox', id);
    return sandbox;
  };
  const end = (sandbox: MemorySandbox): void => {
    sandbox.exit ??= { exitStatus: 128 + SIGKILL, exitedAtNs: store.nowNs() };
    for (const resolve of sandbox.waits) resolve(sandbox.exit);
    sandbox.waits.clear();
  };
  return {
    create: (_sandboxer, { sandbox }, options) =>
      call('controller.create', sandbox.id, options, () => {
        if (running.has(sandbox.id)) throw new CriError('ALREADY_EXISTS', `sandbox "${sandbox.id}": already exists`);
        running.set(sandbox.id, { isReady: false, exit: undefined, waits: new Set() });
      }),

    start: (_sandboxer, id, options) =>
      call('controller.start', id, options, () => {
        existing(id).isReady = true;
        return { createdAtNs: store.nowNs(), labels: {}, ...store.started };
      }),

    wait: (_sandboxer, id, options) =>
      call('controller.wait', id, options, () => {
        const { exit, waits } = existing(id);
        return exit ?? new Promise<Exit>((resolve) => waits.add(resolve));
      }),

    status: (_sandboxer, id, _verbose, options) =>
      call('controller.status', id, options, () => {
        const { isReady, exit } = existing(id);
        const { pid, address, version } = store.started;
        const state = isReady && !exit ? 'SANDBOX_READY' : 'SANDBOX_NOTREADY';
        return { pid, address, version, state, info: {}, createdAtNs: 0n, exitedAtNs: exit?.exitedAtNs ?? 0n };
      }),

    stop: (_sandboxer, id, _timeoutSeconds, options) => call('controller.stop', id, options, () => end(existing(id))),

    shutdown: (_sandboxer, id, options) =>
      call('controller.shutdown', id, options, () => {
        end(existing(id));
        running.delete(id);
      }),

    update: (_sandboxer, { id }, _fields, options) => call('controller.update', id, options, () => void existing(id)),
  };
}
