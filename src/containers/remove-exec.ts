import { CriError } from '../base/errors.js';
import { logOf } from '../base/log.js';
import { killTree } from '../host/process-tree.js';
import type { ContainerDeps } from './deps.js';

/** What one command in a container has made so far. */
export interface MadeExec {
  readonly target: { readonly containerId: string; readonly execId: string };
  /** Known once it was started. */
  pid: number | undefined;
  /** Its FIFOs. */
  streams: { remove(): Promise<void> | void } | undefined;
}

const REMOVE_LIMIT_MS = 60_000;

/** Kills the command with whatever it has started, so that its streams end and the exec can go. */
export async function killExec(deps: ContainerDeps, made: MadeExec): Promise<void> {
  if (made.pid !== undefined) await killTree(made.pid);
  removeExec(deps, made);
}

/**
 * Takes the exec away in the background: the shim takes ten seconds over one whose streams a child still holds, for
 * which nobody need wait. It is an operation of its own: listed, bounded, and waited for when crid stops.
 */
export function removeExec(deps: ContainerDeps, { target, streams }: MadeExec): void {
  const { containerId, execId } = target;
  deps.operations
    .run({
      kind: 'remove exec',
      subject: containerId,
      key: `remove-exec:${execId}`,
      caller: {},
      limitMs: REMOVE_LIMIT_MS,
      work: async (steps) => {
        await steps.step('delete process', (signal) => deps.containerd.tasks.deleteExec(target, { signal }));
        await steps.step('remove streams', async () => streams?.remove());
      },
    })
    .catch((thrown: unknown) =>
      logOf(deps.log).warn({ container: containerId, execId, err: CriError.from(thrown).message }, 'exec not removed'),
    );
}
