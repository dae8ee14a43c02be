import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { ExecRequest, ExecResponse } from '../../generated/runtime/v1/api.js';
import { withAnySignal } from '../base/async.js';
import { invalidArgument } from '../base/errors.js';
import type { Exit } from '../containerd/containerd.js';
import type { Steps } from '../operation/steps.js';
import type { Container } from '../state/records.js';
import { holdReaders, makeFifoSet, nudge, outputsOf, removeFifoSet } from '../stdio/server/fifo-set.js';
import type { FifoPaths } from '../stdio/stdio.js';
import type { CommandClient, Outcome, Streaming } from '../streaming/streaming.js';
import type { ContainerDeps } from './container-deps.js';
import { processOfExec } from './container-process.js';
import { drainMs, killExec, removeExec, startExec, type ExecResources } from './exec-lifecycle.js';
import { resizer } from './resize.js';
import { runningContainer } from './running-container.js';
import { checkStreams } from './stream-request.js';

/** A session lasts for as long as its client and its command do. */
const LIMIT_MS = Infinity;
/** Limit for the drain: children that outlive the command may hold its streams open. */

/**
 * Returns a URL where a command can be run with its streams (CRI Exec). The command starts when a client connects to
 * the URL; it is killed when the client disconnects.
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
  const container = runningContainer(deps.state, command.id);
  const { id } = container;
  const execId = randomBytes(32).toString('hex');
  const made: ExecResources = { target: { containerId: id, execId }, process: undefined, streams: undefined };
  return deps.operations.run({
    kind: 'exec',
    subject: id,
    key: `exec:${execId}`,
    // No caller: when the client disconnects, the operation first ends the command (`exitOrGone`).
    caller: {},
    limitMs: LIMIT_MS,
    work: (steps) => run(deps, steps, made, { ...command, container }, client),
  });
}

async function run(
  deps: ContainerDeps,
  steps: Steps,
  made: ExecResources,
  command: Command & { readonly container: Container },
  client: CommandClient,
): Promise<Outcome> {
  const { tasks } = deps.containerd;
  const { target } = made;
  const [paths, spec] = await Promise.all([
    steps.step(
      'open streams',
      () => openStreams(deps, made, command, client),
      async () => made.streams?.remove(),
    ),
    processOfExec(deps, steps, command.container, command.cmd, command.tty),
  ]);
  await steps.step(
    'create process',
    (signal) => tasks.exec({ ...target, io: { ...paths, terminal: command.tty }, spec }, { signal }),
    () => killExec(deps, made),
  );
  const letGo = holdReaders(paths);
  await steps.step('start process', () => startExec(deps, made).finally(letGo));
  client.feed(paths.stdin || undefined);
  if (command.tty) client.onResize(resizer(deps, target));
  else client.stdinEnded.then(() => tasks.closeIo(target)).catch(() => undefined);
  const exit = await steps.step('wait for exit', (signal) => exitOrGone(deps, target, client, signal), undefined, {
    timeoutMs: LIMIT_MS,
    waitingOn: () => `command ${JSON.stringify(command.cmd[0])}; ${deps.describeShim(command.id)}`,
  });
  if (exit === undefined) return endWithoutClient(deps, steps, made);
  await steps.step('drain output', () => drain(deps, paths, client), undefined, {
    timeoutMs: LIMIT_MS,
    waitingOn: () => 'the client to read the rest',
  });
  removeExec(deps, made);
  return { kind: 'exited', exitCode: exit.exitStatus };
}

async function openStreams(
  deps: Pick<ContainerDeps, 'directories'>,
  made: ExecResources,
  command: Command,
  client: CommandClient,
): Promise<FifoPaths> {
  const { execId } = made.target;
  const paths = makeFifoSet({
    directory: join(deps.directories.containerState(command.id), 'io', execId),
    name: execId,
    stdin: command.stdin,
    stderr: !command.tty,
  });
  made.streams = { paths, remove: () => removeFifoSet(paths) };
  await client.read({ stdout: paths.stdout, stderr: paths.stderr || undefined });
  return paths;
}

/** Returns the exit, or undefined when the client disconnects first. */
async function exitOrGone(
  deps: Pick<ContainerDeps, 'containerd'>,
  target: ExecResources['target'],
  client: CommandClient,
  signal: AbortSignal,
): Promise<Exit | undefined> {
  try {
    return await withAnySignal([signal, client.signal], (ended) =>
      deps.containerd.tasks.wait(target, { signal: ended }),
    );
  } catch (thrown) {
    if (client.signal.aborted && !signal.aborted) return undefined;
    throw thrown;
  }
}

/** Kills the command, as the close of a terminal does. */
async function endWithoutClient(
  deps: Pick<ContainerDeps, 'containerd' | 'log' | 'operations'>,
  steps: Steps,
  made: ExecResources,
): Promise<Outcome> {
  await steps.step('kill process', () => killExec(deps, made));
  return { kind: 'failed', message: 'the client has gone' };
}

/** Lets the rest of the output reach the client, however slowly the client reads, unless it disconnects. */
async function drain(deps: Pick<ContainerDeps, 'config'>, paths: FifoPaths, client: CommandClient): Promise<void> {
  for (const { path } of outputsOf(paths)) nudge(path);
  await client.drain(drainMs(deps.config)).catch((thrown: unknown) => {
    if (!client.signal.aborted) throw thrown;
  });
}
