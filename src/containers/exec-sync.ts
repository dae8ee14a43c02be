import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { ExecSyncRequest, ExecSyncResponse } from '../../generated/runtime/v1/api.js';
import { withAnySignal } from '../base/async.js';
import { CriError, invalidArgument } from '../base/errors.js';
import { timeoutSignal } from '../base/time.js';
import type { Exit } from '../containerd/containerd.js';
import { answerDueInMs, type Caller } from '../operation/operation.js';
import type { Steps } from '../operation/steps.js';
import type { Container } from '../state/records.js';
import type { ContainerDeps } from './container-deps.js';
import { processOfExec } from './container-process.js';
import { drainMs, killExec, removeExec, startExec, type ExecResources } from './exec-lifecycle.js';
import { runningContainer } from './running-container.js';

/**
 * Bytes kept of each stream; the rest is dropped. The CRI leaves the limit to the server; other CRI servers use the
 * same.
 */
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;
/** A kubelet rejects a message above 16 MiB; 64 bytes are left for the tags and lengths of the fields. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024 - 64;
/** Limit for the drain: children that outlive the command may hold its streams open. */

/**
 * Runs a command in a running container and returns its output and exit code (CRI ExecSync). DEADLINE_EXCEEDED when
 * `timeout` (seconds, 0 for none) has passed: the command is then killed with SIGKILL. There is no other limit: a
 * preStop hook may run for as long as its pod's grace period.
 */
export const execSync =
  (deps: ContainerDeps) =>
  async (request: ExecSyncRequest, caller: Caller): Promise<ExecSyncResponse> => {
    if (request.cmd.length === 0) throw invalidArgument('cmd', 'must not be empty');
    if (request.timeout < 0n) {
      throw invalidArgument('timeout', `expected 0 seconds or more, received ${request.timeout}`);
    }
    const container = runningContainer(deps.state, request.container_id);
    const { id } = container;
    const execId = randomBytes(32).toString('hex');
    return deps.operations.run({
      kind: 'exec sync',
      subject: id,
      key: `exec:${execId}`,
      caller,
      limitMs: Infinity,
      work: (steps) =>
        run(deps, steps, { container, execId, cmd: request.cmd, timeoutMs: Number(request.timeout) * 1000 }, caller),
    });
  };

interface Command {
  readonly container: Container;
  readonly execId: string;
  readonly cmd: readonly string[];
  readonly timeoutMs: number;
}

async function run(deps: ContainerDeps, steps: Steps, command: Command, caller: Caller): Promise<ExecSyncResponse> {
  const { container, execId } = command;
  const { id } = container;
  const { tasks } = deps.containerd;
  const made: ExecResources = { target: { containerId: id, execId }, process: undefined, streams: undefined };
  const fifoDir = join(deps.directories.containerState(id), 'io', execId);
  const [capture, spec] = await Promise.all([
    steps.step(
      'open streams',
      async () => (made.streams = await deps.stdio.capture({ fifoDir, name: execId, maxBytes: MAX_OUTPUT_BYTES })),
      async () => made.streams?.remove(),
    ),
    processOfExec(deps, steps, container, command.cmd, false),
  ]);
  // A command whose output is not read any more would never end.
  capture.output.catch((thrown: unknown) => steps.abort(CriError.from(thrown)));
  await steps.step(
    'create process',
    (signal) => tasks.exec({ ...made.target, io: { ...capture.paths, terminal: false }, spec }, { signal }),
    () => killExec(deps, made),
  );
  // The wait begins before the start, so that it sees the exit of even the shortest command.
  const [exit] = await Promise.all([
    steps.step(
      'wait for exit',
      (signal) => exitInTime(deps, made.target, command.timeoutMs, caller, signal),
      undefined,
      {
        timeoutMs: Infinity,
        waitingOn: () => `command ${JSON.stringify(command.cmd[0])}; ${deps.describeShim(id)}`,
      },
    ),
    steps.step('start process', () => startExec(deps, made)),
  ]);
  const { stdout, stderr } = await steps.step('drain output', () => {
    capture.stop(drainMs(deps.config));
    return capture.output;
  });
  removeExec(deps, made);
  // The response has been encoded by then.
  setImmediate(() => capture.release());
  return { ...fitting(asBuffer(stdout), asBuffer(stderr)), exit_code: exit.exitStatus };
}

/** Returns a Buffer over the same memory. */
const asBuffer = ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

/** Cuts both streams to what one response can carry, neither below half of that. */
function fitting(stdout: Buffer, stderr: Buffer): { stdout: Buffer; stderr: Buffer } {
  const kept = stderr.subarray(0, Math.max(MAX_ANSWER_BYTES - stdout.length, MAX_ANSWER_BYTES / 2));
  return { stdout: stdout.subarray(0, MAX_ANSWER_BYTES - kept.length), stderr: kept };
}

/**
 * Waits for the exit until the command's timeout or its caller's deadline has passed; the undo then kills the command.
 */
async function exitInTime(
  deps: Pick<ContainerDeps, 'containerd'>,
  target: ExecResources['target'],
  timeoutMs: number,
  caller: Caller,
  signal: AbortSignal,
): Promise<Exit> {
  // ExecSync responds shortly before the caller's deadline, so `caller.signal` does not abort in time; a timer does.
  const dueMs = answerDueInMs(caller);
  const timeout = timeoutSignal(timeoutMs > 0 ? timeoutMs : Infinity);
  const due = timeoutSignal(dueMs === undefined ? Infinity : Math.ceil(dueMs));
  try {
    return await withAnySignal([signal, timeout.signal, due.signal, caller.signal], (ended) =>
      deps.containerd.tasks.wait(target, { signal: ended }),
    );
  } catch (thrown) {
    if (timeout.signal.aborted)
      throw new CriError('DEADLINE_EXCEEDED', `timeout of ${timeoutMs / 1000} s exceeded, command killed`);
    if (signal.aborted) throw CriError.from(signal.reason);
    throw thrown;
  } finally {
    timeout.clear();
    due.clear();
  }
}
