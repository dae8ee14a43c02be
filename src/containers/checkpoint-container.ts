import { readFile, stat } from 'node:fs/promises';
import { dirname, isAbsolute } from 'node:path';
import type { CheckpointContainerRequest, CheckpointContainerResponse } from '../../generated/runtime/v1/api.js';
import { withAnySignal } from '../base/async.js';
import { CriError, invalidArgument } from '../base/errors.js';
import { wallMs } from '../base/time.js';
import type { ContainerRecord } from '../containerd/containerd.js';
import { checkpointOptions } from '../containerd/task-options.js';
import { writeTar } from '../host/files/archive.js';
import { renameFile } from '../host/files/files.js';
import { lookAt } from '../host/files/foreign-paths.js';
import { answerDueInMs, type Caller } from '../operation/operation.js';
import type { Steps } from '../operation/steps.js';
import { EXPIRE_LABEL } from '../state/labels.js';
import type { Container } from '../state/records.js';
import { checkpointTexts, writeCheckpointFiles } from './checkpoint-files.js';
import { beginCheckpoint, clearCheckpoint, leaseOf, type Checkpoint } from './checkpoint-leftovers.js';
import type { ContainerDeps } from './container-deps.js';
import { rootfsDiff, writeBlob } from './rootfs-diff.js';
import { runningContainer } from './running-container.js';

/** Limit for a request without a `timeout`. A checkpoint is as large as the container's memory. */
const DEFAULT_LIMIT_MS = 10 * 60_000;
/** A lease that could not be deleted because containerd was away expires this long after the checkpoint's limit. */
const LEASE_EXPIRY_MS = 24 * 3600_000;
/** Upper bound of a lease's life, so that every reader of the lease can parse the date of its end. */
const MAX_LEASE_MS = 10 * 365 * 24 * 3600_000;

/**
 * Writes a checkpoint of a running container (CRI CheckpointContainer) as a tar to `location`: the memory of its
 * processes (by CRIU), the changes to its root file system, its spec and its status. The container is frozen meanwhile
 * and then goes on. The archive appears whole, with the mode 0600, or not at all.
 * NOT_FOUND: no such container. INVALID_ARGUMENT names the field. FAILED_PRECONDITION: the container does not run,
 * checkpoints are turned off (`runtime.enable_criu`), the node has no usable CRIU, or CRIU cannot dump this container.
 * ABORTED: the container was stopped or removed meanwhile. The checkpoint also ends when its caller leaves.
 */
export const checkpointContainer =
  (deps: Pick<ContainerDeps, 'config' | 'containerd' | 'directories' | 'images' | 'operations' | 'state'>) =>
  async (request: CheckpointContainerRequest, caller: Caller): Promise<CheckpointContainerResponse> => {
    const { id } = deps.state.containers.get(request.container_id, 'container_id');
    const { location, timeout } = request;
    await checkLocation(location);
    if (timeout < 0n) throw invalidArgument('timeout', `expected 0 seconds or more, received ${timeout}`);
    if (!deps.config.runtime.enable_criu) throw refused(id, 'runtime.enable_criu is off');
    const limitMs = Math.min(Number(timeout) * 1000 || DEFAULT_LIMIT_MS, answerDueInMs(caller) ?? Infinity);
    const leaseMs = Math.min(limitMs + LEASE_EXPIRY_MS, MAX_LEASE_MS);
    await deps.operations.run({
      kind: 'checkpoint container',
      subject: id,
      key: `container:${id}`,
      caller,
      limitMs,
      work: (steps) =>
        checkpoint(deps, steps, { container: runningContainer(deps.state, id), location, leaseMs }, caller.signal),
    });
    return {};
  };

const refused = (id: string, why: string): CriError =>
  new CriError('FAILED_PRECONDITION', `container "${id}" cannot be checkpointed: ${why}`);

async function checkLocation(location: string): Promise<void> {
  if (!isAbsolute(location)) throw invalidArgument('location', `"${location}" is not an absolute path`);
  if (location.split('/').includes('..')) throw invalidArgument('location', `"${location}" contains ".."`);
  if (location.includes('\0')) throw invalidArgument('location', 'contains a NUL byte');
  const isDirectory = (path: string): Promise<boolean> =>
    lookAt('checkpoint location', path, () =>
      stat(path).then(
        (found) => found.isDirectory(),
        () => false,
      ),
    );
  if (location.endsWith('/') || (await isDirectory(location))) {
    throw invalidArgument('location', `"${location}" is a directory`);
  }
  if (!(await isDirectory(dirname(location))))
    throw invalidArgument('location', `directory "${dirname(location)}" does not exist`);
}

async function checkpoint(
  deps: Pick<ContainerDeps, 'containerd' | 'directories' | 'images'>,
  steps: Steps,
  { container, location, leaseMs }: { container: Container; location: string; leaseMs: number },
  left: AbortSignal | undefined,
): Promise<void> {
  const { id } = container;
  const { tasks, leases, containers } = deps.containerd;
  /** Each step ends early when the caller has left. */
  const step = <T>(name: string, run: (signal: AbortSignal) => Promise<T>, undo?: () => Promise<void>): Promise<T> =>
    steps.step(name, (signal) => withAnySignal([signal, left], run), undo, {
      // Only the operation's own limit applies.
      timeoutMs: Infinity,
    });
  const record = await step('read record', (signal) => containers.get(id, { signal }));
  const made = await step(
    'make directory',
    () => beginCheckpoint(deps, id, location),
    () => clearCheckpoint(deps, container),
  );
  const expire = new Date(wallMs() + leaseMs).toISOString();
  await step('create lease', (signal) => leases.create(leaseOf(id), { [EXPIRE_LABEL]: expire }, { signal }));
  const atMs = wallMs();
  await step('pause task', (signal) => tasks.pause(id, { signal }));
  await step('dump processes', (signal) => dump(deps, record, made, signal));
  const diff = await step('compare root file system', (signal) => rootfsDiff(deps, container, signal));
  await step('resume task', (signal) => tasks.resume(id, { signal }));
  await step('write files', async (signal) => {
    const texts = checkpointTexts(container, record, deps.images, atMs);
    await writeCheckpointFiles(texts, container, made.file);
    await writeBlob(deps, diff, made.file('rootfs-diff.tar'), signal);
  });
  await step('write archive', (signal) => writeTar(made.archive, made.temporary, signal));
  await step('publish archive', () => renameFile(made.temporary, location));
  await step('clean up', () => clearCheckpoint(deps, container));
}

async function dump(
  deps: Pick<ContainerDeps, 'containerd'>,
  record: ContainerRecord,
  made: Checkpoint,
  signal: AbortSignal,
): Promise<void> {
  const options = checkpointOptions(record.runtime, { imageDir: made.file('checkpoint'), workDir: made.archive });
  try {
    await deps.containerd.tasks.checkpoint({ containerId: record.id, options }, { signal });
  } catch (thrown) {
    throw await dumpFailure(thrown, made.file('dump.log'));
  }
}

/**
 * Explains why a dump has failed: the runtime found no usable CRIU, or the errors in CRIU's own log.
 * FAILED_PRECONDITION for these; returns any other failure as it is.
 */
export async function dumpFailure(thrown: unknown, logPath: string): Promise<CriError> {
  const error = CriError.from(thrown);
  if (error.code !== 'UNKNOWN') return error;
  const said = lastErrors(await readFile(logPath, 'utf8').catch(() => ''));
  if (said !== undefined)
    return new CriError('FAILED_PRECONDITION', `criu cannot dump the container: ${said}`, { cause: error });
  if (!NO_CRIU.test(error.message)) return error;
  return new CriError(
    'FAILED_PRECONDITION',
    `the runtime finds no usable criu in the PATH of containerd: ${error.message}`,
    {
      cause: error,
    },
  );
}

/** runc looks for the program and then asks for its version; either can fail. */
const NO_CRIU = /criu.*(not found|no such file|version)|(not found|no such file|version).*criu/is;

/**
 * Returns the last errors of CRIU's log, oldest first, without the final `Dumping FAILED`. A line is
 * `(00.012345)     42: Error (criu/files-reg.c:1710): Can't …`. The errors after the cause are its consequences; errors
 * long before it did not stop the dump.
 */
function lastErrors(log: string): string | undefined {
  const errors = [...log.matchAll(/^\([\d.]+\)\s+(?:\d+: )?Error \([^)]*\): (.*?)\.?$/gm)].map(([, text]) => text);
  const causes = errors.filter((text) => text !== 'Dumping FAILED').slice(-SHOWN_ERRORS);
  return causes.length > 0 ? causes.join('; ') : undefined;
}

const SHOWN_ERRORS = 3;
