import type { AttachRequest, AttachResponse } from '../../generated/runtime/v1/api.js';
import { withAnySignal } from '../base/async.js';
import { CriError } from '../base/errors.js';
import { makePipe } from '../host/pipe/pipe.js';
import type { Container } from '../state/records.js';
import { isRunning } from '../state/require.js';
import type { ContainerIo } from '../stdio/stdio.js';
import type { CommandClient, Outcome, Streaming } from '../streaming/streaming.js';
import type { ContainerDeps } from './container-deps.js';
import { resizer } from './resize.js';
import { noStreams, runningContainer } from './running-container.js';
import { checkStreams } from './stream-request.js';

const PIPE_BYTES = 1024 * 1024;
/** Limit for the drain after the container's exit. Its pipes normally end by themselves before that. */
const DRAIN_MS = 5_000;

/**
 * Returns a URL where a client can attach to the streams of a container (CRI Attach). A detach leaves the container as
 * it is, but closes the stdin of a container with `stdin_once`.
 */
export const attach =
  (deps: Pick<ContainerDeps, 'containerd' | 'log' | 'state' | 'stdio'>, streaming: Streaming) =>
  (request: AttachRequest): AttachResponse => {
    const { stdin, stdout, stderr, tty } = request;
    checkStreams(request);
    const { id } = runningContainer(deps.state, request.container_id);
    const url = streaming.url({
      route: 'attach',
      streams: { stdin, stdout, stderr, tty },
      serve: (client) => serve(deps, id, request, client),
    });
    return { url };
  };

async function serve(
  deps: Pick<ContainerDeps, 'containerd' | 'log' | 'state' | 'stdio'>,
  id: string,
  request: AttachRequest,
  client: CommandClient,
): Promise<Outcome> {
  const container = runningContainer(deps.state, id);
  const io = deps.stdio.of(id);
  if (!io) throw noStreams(id);
  const { tty } = container.config;
  const over = new AbortController();
  const detach = await attachPipes(io, client, { stdout: request.stdout, stderr: request.stderr && !tty });
  try {
    const stdin = (request.stdin && container.config.stdin && io.paths.stdin) || undefined;
    client.feed(stdin);
    if (tty) client.onResize(resizer(deps, { containerId: id }));
    const exited = withAnySignal([over.signal, client.signal], (ended) =>
      deps.state.containers.until(id, (one) => !isRunning(one), ended),
    );
    const left = stdin ? stdinOver(deps, container, client) : undefined;
    const first = await Promise.race([exited, client.outputsEnded, ...(left ? [left] : [])]);
    if (first === 'detach') await detach();
    await client.drain(DRAIN_MS);
    return { kind: 'exited', exitCode: 0 };
  } finally {
    over.abort();
    await detach();
  }
}

/** Connects the client to the outputs through new pipes. Returns a function that detaches the client. */
async function attachPipes(
  io: ContainerIo,
  client: CommandClient,
  wanted: { readonly stdout: boolean; readonly stderr: boolean },
): Promise<() => Promise<void>> {
  const stdout = wanted.stdout ? makePipe(PIPE_BYTES) : undefined;
  const stderr = wanted.stderr ? makePipe(PIPE_BYTES) : undefined;
  try {
    await client.read({ stdout: stdout?.readPath, stderr: stderr?.readPath });
    return await io.attach({ stdout: stdout?.writePath, stderr: stderr?.writePath });
  } finally {
    stdout?.close();
    stderr?.close();
  }
}

/**
 * Waits until the client has ended its input. With `stdin_once` this closes the container's stdin for good, and the
 * client goes on reading (the promise stays pending). Otherwise resolves to `detach`, and other clients may attach.
 * containerd does the same.
 */
async function stdinOver(
  deps: Pick<ContainerDeps, 'containerd' | 'log'>,
  { id, config }: Container,
  client: CommandClient,
): Promise<'detach'> {
  const once = config.stdin_once && !config.tty;
  await client.stdinEnded.catch(() => undefined);
  if (!once) return 'detach';
  await deps.containerd.tasks.closeIo({ containerId: id }).catch((thrown: unknown) => {
    deps.log.debug({ container: id, err: CriError.from(thrown).message }, 'stdin not closed');
  });
  return new Promise(() => undefined);
}
