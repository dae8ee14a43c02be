import { CriError } from '../base/errors.js';
import { logOf } from '../base/log.js';
import { durationMs, type Config } from '../config/schema.js';
import { killTree, type ProcessIdentity } from '../host/process/process-tree.js';
import { processStartTime } from '../host/process/processes.js';
import { discardOutputs } from '../stdio/server/discard-outputs.js';
import type { FifoPaths } from '../stdio/stdio.js';
import { asBadCommand } from './bad-command.js';
import type { ContainerDeps } from './container-deps.js';

/** The resources that an exec has made so far. */
export interface ExecResources {
  readonly target: { readonly containerId: string; readonly execId: string };
  /** The process, set once the start has been requested; resolves to undefined when the start failed. Never rejects. */
  process: Promise<ProcessIdentity | undefined> | undefined;
  /** The FIFOs of the command. */
  streams: { readonly paths: FifoPaths; remove(): Promise<void> | void } | undefined;
}

/** An undo waits for the start; with its retries it waits at least as long as this. */
const START_LIMIT_MS = 120_000;
const REMOVE_LIMIT_MS = 60_000;

/** A `drain_exec_sync_io_timeout` of 0. */
const DEFAULT_DRAIN_MS = 1_000;

/** How long the output may stay open after the command has ended: its children may hold it. */
export const drainMs = ({ runtime }: Pick<Config, 'runtime'>): number =>
  durationMs(runtime.drain_exec_sync_io_timeout) || DEFAULT_DRAIN_MS;

/**
 * Starts the command. No signal interrupts the start: the shim would go on and leave an unknown process. A caller that
 * stops waiting leaves the process to `killExec`, which waits for the start.
 */
export async function startExec({ containerd }: Pick<ContainerDeps, 'containerd'>, made: ExecResources): Promise<void> {
  const started = containerd.tasks.start(made.target, { timeoutMs: START_LIMIT_MS });
  made.process = started
    .then(async ({ pid }) => ({ pid, startTime: await processStartTime(pid) }))
    .catch(() => undefined);
  await started.catch(asBadCommand({ program: 'cmd', directory: 'working directory of the container' }));
}

/** Kills the command and all that it has started, so that its streams end and the exec can be removed. */
export async function killExec(
  deps: Pick<ContainerDeps, 'containerd' | 'log' | 'operations'>,
  made: ExecResources,
): Promise<void> {
  const process = await made.process;
  if (process) await killTree(process);
  removeExec(deps, made);
}

/**
 * Removes the exec in the background: the shim takes ten seconds when a child still holds the streams, and no caller
 * needs to wait for that. The removal is an operation: listed, bounded, and waited for when crid stops.
 */
export function removeExec(deps: Pick<ContainerDeps, 'containerd' | 'log' | 'operations'>, made: ExecResources): void {
  const { target, streams } = made;
  const { containerId, execId } = target;
  deps.operations
    .run({
      kind: 'remove exec',
      subject: containerId,
      key: `remove-exec:${execId}`,
      caller: {},
      limitMs: REMOVE_LIMIT_MS,
      work: async (steps) => {
        const stop = streams ? discardOutputs(streams.paths) : undefined;
        await steps.step('delete process', (signal) => deleteProcess(deps, made, signal)).finally(stop);
        await steps.step('remove streams', async () => streams?.remove());
      },
    })
    .catch((thrown: unknown) =>
      logOf(deps.log).warn({ container: containerId, execId, err: CriError.from(thrown).message }, 'exec not removed'),
    );
}

async function deleteProcess(
  { containerd }: Pick<ContainerDeps, 'containerd'>,
  made: ExecResources,
  signal: AbortSignal,
): Promise<void> {
  const { tasks } = containerd;
  try {
    await tasks.deleteExec(made.target, { signal });
  } catch (thrown) {
    if ((await made.process) === undefined) throw thrown;
    // The process was killed just now, and the shim has not noticed its exit yet.
    await tasks.wait(made.target, { signal });
    await tasks.deleteExec(made.target, { signal });
  }
}
