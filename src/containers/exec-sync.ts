import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { ExecSyncRequest, ExecSyncResponse } from '../../generated/runtime/v1/api.js';
import { CriError, invalidArgument, isCode } from '../base/errors.js';
import type { Exit } from '../containerd/containerd.js';
import { durationMs } from '../config/duration.js';
import type { Caller } from '../operation/operation.js';
import type { Steps } from '../operation/steps.js';
import { execProcess } from '../spec/exec-process.js';
import { parseSpec, processAny } from '../spec/spec-json.js';
import type { ExecCapture } from '../stdio/stdio.js';
import type { ContainerDeps } from './deps.js';

/** What a stream may carry before the rest is dropped; the CRI leaves the limit to the server, its peers use the same. */
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;
const SIGKILL = 9;
/** A command without a timeout is still bounded: a day. */
const LIMIT_MS = 24 * 3600_000;
/** Children that outlive the command may hold its streams open; the drain ends all the same. */
const DEFAULT_DRAIN_MS = 1_000;
const MAX_TIMEOUT_S = 86_400n;

/**
 * Runs a command in a running container and answers its output and exit code (CRI ExecSync). DEADLINE_EXCEEDED when
 * `timeout` (seconds, 0 for none) has passed: the command is then killed with SIGKILL.
 */
export const execSync =
  (deps: ContainerDeps) =>
  async (request: ExecSyncRequest, caller: Caller): Promise<ExecSyncResponse> => {
    if (request.cmd.length === 0) throw invalidArgument('cmd', 'must not be empty');
    if (request.timeout < 0n || request.timeout > MAX_TIMEOUT_S) {
      throw invalidArgument('timeout', `expected 0 to ${MAX_TIMEOUT_S} seconds, received ${request.timeout}`);
    }
    const { id, state } = deps.state.containers.get(request.container_id, 'container_id');
    if (state.phase !== 'running')
      throw new CriError('FAILED_PRECONDITION', `container "${id}" is ${state.phase}, not running`);
    const execId = randomBytes(32).toString('hex');
    return deps.operations.run({
      kind: 'exec sync',
      subject: id,
      key: `exec:${execId}`,
      caller,
      limitMs: LIMIT_MS,
      work: (steps) =>
        run(deps, steps, { id, execId, cmd: request.cmd, timeoutMs: Number(request.timeout) * 1000 }, caller),
    });
  };

interface Command {
  readonly id: string;
  readonly execId: string;
  readonly cmd: readonly string[];
  readonly timeoutMs: number;
}

async function run(deps: ContainerDeps, steps: Steps, command: Command, caller: Caller): Promise<ExecSyncResponse> {
  const { id, execId } = command;
  const { tasks, containers } = deps.containerd;
  const target = { containerId: id, execId };
  let capture: ExecCapture | undefined;
  const opened = steps.step(
    'open streams',
    async () => {
      capture = await deps.stdio.capture({
        fifoDir: join(deps.directories.containerState(id), 'io', execId),
        name: execId,
        maxBytes: MAX_OUTPUT_BYTES,
      });
      return capture;
    },
    async () => capture?.remove(),
  );
  const [streams, { spec }] = await Promise.all([
    opened,
    steps.step('read spec', (signal) => containers.get(id, { signal })),
  ]);
  if (!spec) throw new CriError('INTERNAL', `container "${id}" has no spec`);
  await steps.step(
    'create process',
    (signal) =>
      tasks.exec(
        {
          ...target,
          io: { ...streams.paths, terminal: false },
          spec: processAny(execProcess(parseSpec(spec), command.cmd, false)),
        },
        { signal },
      ),
    () => removeProcess(deps, target),
  );
  await steps.step('start process', (signal) => tasks.start(target, { signal }));
  const exit = await steps.step(
    'wait for exit',
    (signal) => exitInTime(deps, target, command.timeoutMs, caller, signal),
    undefined,
    { timeoutMs: LIMIT_MS },
  );
  return finish(deps, steps, target, streams, exit);
}

/** The output is complete once both streams have ended; whoever still holds one open gets a moment. */
async function finish(
  deps: ContainerDeps,
  steps: Steps,
  target: { containerId: string; execId: string },
  streams: ExecCapture,
  exit: Exit,
): Promise<ExecSyncResponse> {
  const { stdout, stderr } = await steps.step('drain output', () => {
    streams.stop(durationMs(deps.config.runtime.drain_exec_sync_io_timeout) || DEFAULT_DRAIN_MS);
    return streams.output;
  });
  await steps.step('delete process', async (signal) => {
    await deps.containerd.tasks.deleteExec(target, { signal });
    await streams.remove();
  });
  return { stdout: Buffer.from(stdout), stderr: Buffer.from(stderr), exit_code: exit.exitStatus };
}

/** Ends the command when its own time, or its caller's, has passed. */
async function exitInTime(
  deps: ContainerDeps,
  target: { containerId: string; execId: string },
  timeoutMs: number,
  caller: Caller,
  signal: AbortSignal,
): Promise<Exit> {
  const timeout = timeoutMs > 0 ? AbortSignal.timeout(timeoutMs) : undefined;
  const ends = [signal, timeout, caller.signal].filter((one) => one !== undefined);
  try {
    return await deps.containerd.tasks.wait(target, { signal: AbortSignal.any(ends) });
  } catch (thrown) {
    if (timeout?.aborted)
      throw new CriError('DEADLINE_EXCEEDED', `timeout of ${timeoutMs / 1000} s exceeded, command killed`);
    throw thrown;
  }
}

async function removeProcess(deps: ContainerDeps, target: { containerId: string; execId: string }): Promise<void> {
  const { tasks } = deps.containerd;
  const gone = (thrown: unknown): void => {
    if (!isCode(thrown, 'NOT_FOUND')) throw thrown;
  };
  const exited = tasks.wait(target, { timeoutMs: 10_000 }).then(() => undefined, gone);
  await tasks.kill({ ...target, signal: SIGKILL }).catch(gone);
  // A process that never started has no exit to wait for.
  await Promise.race([exited, new Promise((resolve) => setTimeout(resolve, 2_000).unref())]);
  await tasks.deleteExec(target);
}
