import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { ExecRequest, ExecResponse } from '../../generated/runtime/v1/api.js';
import { CriError, invalidArgument } from '../base/errors.js';
import type { Exit } from '../containerd/containerd.js';
import { durationMs } from '../config/duration.js';
import type { Steps } from '../operation/steps.js';
import { execProcess } from '../spec/exec-process.js';
import { parseSpec, processAny } from '../spec/spec-json.js';
import { makeFifoSet, nudge, outputsOf, removeFifoSet } from '../stdio/fifo-set.js';
import type { FifoPaths } from '../stdio/stdio.js';
import type { CommandClient, Outcome, Streaming } from '../streaming/streaming.js';
import type { ContainerDeps } from './deps.js';
import { removeProcess, type ExecTarget } from './exec-target.js';
import { resizer } from './resize.js';
import { runningContainer } from './running-container.js';
import { checkStreams } from './stream-request.js';

/** A session without end is ended all the same; longer than timers can count is 24 days. */
const LIMIT_MS = 24 * 24 * 3600_000;
/** Children that outlive the command may hold its streams open. */
const DEFAULT_DRAIN_MS = 1_000;

/**
 * Answers a URL where a command can be run with its streams (CRI Exec). The command starts when a client has come with
 * that URL; it is killed when the client goes.
 */
export const exec =
  (deps: ContainerDeps, streaming: Streaming) =>
  (request: ExecRequest): ExecResponse => {
    const { cmd, stdin, stdout, stderr, tty } = request;
    if (cmd.length === 0) throw invalidArgument('cmd', 'must not be empty');
    checkStreams(request);
    const { id } = runningContainer(deps.state, request.container_id);
    const url = streaming.url({
      route: 'exec',
      streams: { stdin, stdout, stderr, tty },
      serve: (client) => serve(deps, { id, cmd, stdin, tty }, client),
    });
    return { url };
  };

interface Command {
  readonly id: string;
  readonly cmd: readonly string[];
  readonly stdin: boolean;
  readonly tty: boolean;
}

function serve(deps: ContainerDeps, command: Command, client: CommandClient): Promise<Outcome> {
  const { id } = runningContainer(deps.state, command.id);
  const execId = randomBytes(32).toString('hex');
  return deps.operations.run({
    kind: 'exec',
    subject: id,
    key: `exec:${execId}`,
    // Its signal is the client's, which the steps look at themselves: the operation ends only when all is undone.
    caller: {},
    limitMs: LIMIT_MS,
    work: (steps) => run(deps, steps, { containerId: id, execId }, command, client),
  });
}

async function run(
  deps: ContainerDeps,
  steps: Steps,
  target: ExecTarget,
  command: Command,
  client: CommandClient,
): Promise<Outcome> {
  const { tasks, containers } = deps.containerd;
  let made: FifoPaths | undefined;
  const opened = steps.step(
    'open streams',
    async () => {
      made = makeFifoSet({
        directory: join(deps.directories.containerState(command.id), 'io', target.execId),
        name: target.execId,
        stdin: command.stdin,
        stderr: !command.tty,
      });
      await client.read({ stdout: made.stdout, stderr: made.stderr || undefined });
      return made;
    },
    async () => made && removeFifoSet(made),
  );
  const [paths, { spec }] = await Promise.all([
    opened,
    steps.step('read spec', (signal) => containers.get(command.id, { signal })),
  ]);
  if (!spec) throw new CriError('INTERNAL', `container "${command.id}" has no spec`);
  const process = processAny(execProcess(parseSpec(spec), command.cmd, command.tty));
  await steps.step(
    'create process',
    (signal) => tasks.exec({ ...target, io: { ...paths, terminal: command.tty }, spec: process }, { signal }),
    () => removeProcess(deps.containerd, target),
  );
  await steps.step('start process', (signal) => tasks.start(target, { signal }));
  client.feed(paths.stdin || undefined);
  if (command.tty) client.onResize(resizer(deps, target));
  else void client.stdinEnded.then(() => tasks.closeIo(target)).catch(() => undefined);
  const exit = await steps.step('wait for exit', (signal) => exited(deps, target, client, signal), undefined, {
    timeoutMs: LIMIT_MS,
  });
  return finish(deps, steps, target, paths, client, exit);
}

/** CANCELLED when the client goes first: what was begun is then undone, the process killed. */
const exited = (deps: ContainerDeps, target: ExecTarget, client: CommandClient, signal: AbortSignal): Promise<Exit> =>
  deps.containerd.tasks.wait(target, { signal: AbortSignal.any([signal, client.signal]) });

async function finish(
  deps: ContainerDeps,
  steps: Steps,
  target: ExecTarget,
  paths: FifoPaths,
  client: CommandClient,
  exit: Exit,
): Promise<Outcome> {
  await steps.step(
    'drain output',
    () => {
      for (const { path } of outputsOf(paths)) nudge(path);
      return client.drain(durationMs(deps.config.runtime.drain_exec_sync_io_timeout) || DEFAULT_DRAIN_MS);
    },
    undefined,
    { timeoutMs: LIMIT_MS, waitingOn: () => 'the client to read the rest' },
  );
  await steps.step('delete process', async (signal) => {
    await deps.containerd.tasks.deleteExec(target, { signal });
    removeFifoSet(paths);
  });
  return { kind: 'exited', exitCode: exit.exitStatus };
}
