import type { NamespacePaths } from '../host/namespace/pin-namespaces.js';
import type { Sysctl } from '../host/namespace/write-sysctls.js';
import { pinnedSpec } from '../spec/pinned-spec.js';
import { specAny } from '../spec/spec-json.js';
import { sysctlFile } from '../spec/sysctls.js';
import type { Directories } from '../state/directories.js';
import { PINNED, pinnedNamespaces } from '../state/pod-view.js';
import type { Sandboxer, SandboxState } from './sandboxer.js';

/** The part of the host that a sandbox without a process needs. */
export interface Bindings {
  /** Whether a namespace is bound to the path. */
  isOpen(path: string): Promise<boolean>;
  /** Removes the bindings in a directory; succeeds when there is none. */
  removeAll(directory: string): Promise<void>;
  writeSysctls(paths: NamespacePaths, sysctls: readonly Sysctl[]): Promise<void>;
}

/**
 * Runs sandboxes without a process: a pod is ready while its namespaces are bound. `Namespaces` makes and binds them
 * before the network, and the pod's first container brings the shim. All that containers need of the pod is in a spec,
 * as if a controller had returned it.
 */
export function createPinnedSandboxer(
  directories: Pick<Directories, 'podNamespace' | 'podNamespaces'>,
  bindings: Bindings,
): Sandboxer {
  return {
    name: PINNED,
    async create(steps, { id, config, netnsPath, spec }) {
      const paths = pinnedNamespaces(directories, { id, config, netnsPath });
      const sysctls = Object.entries(spec.linux.sysctl ?? {}).map(([name, value]) => ({ ...sysctlFile(name), value }));
      if (sysctls.length > 0) await steps.step('set sysctls', () => bindings.writeSysctls(paths, sysctls));
      return { pid: 0, spec: specAny(pinnedSpec(spec, paths)) };
    },
    start: (_steps, _id, { spec }) => Promise.resolve({ pid: 0, spec }),
    stop: (id) => bindings.removeAll(directories.podNamespaces(id)),
    remove: () => Promise.resolve(),
    update: () => Promise.resolve(),
    async state({ id, config, netnsPath }): Promise<SandboxState> {
      const paths = [
        // Bound for every pod, so that a reboot shows.
        directories.podNamespace(id, 'uts'),
        ...Object.values(pinnedNamespaces(directories, { id, config, netnsPath })),
      ];
      const open = await Promise.all(paths.map((path) => bindings.isOpen(path)));
      return open.every(Boolean) ? { phase: 'running', pid: 0 } : { phase: 'unknown' };
    },
    // Nothing of the sandbox can end by itself.
    wait: (_id, signal) =>
      new Promise((_resolve, reject) => {
        signal.throwIfAborted();
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      }),
  };
}
