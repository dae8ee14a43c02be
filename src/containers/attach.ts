import type { AttachRequest, AttachResponse } from '../../generated/runtime/v1/api.js';
import { CriError } from '../base/errors.js';
import { makePipe } from '../host/pipe.js';
import type { Container } from '../state/records.js';
import type { ContainerIo } from '../stdio/stdio.js';
import type { CommandClient, Outcome, Streaming } from '../streaming/streaming.js';
import type { ContainerDeps } from './deps.js';
import { resizer } from './resize.js';
import { runningContainer } from './running-container.js';
import { checkStreams } from './stream-request.js';

const PIPE_BYTES = 1024 * 1024;
/** After the container's exit; its pipes end by themselves, so this is for what goes wrong. */
const DRAIN_MS = 5_000;

/**
 * Answers a URL where a client can be attached to the streams of a container (CRI Attach). Detaching leaves the
 * container as it is, but for one whose stdin is for the first client alone (`stdin_once`).
 */
export const attach =
  (deps: ContainerDeps, streaming: Streaming) =>
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

async function serve(deps: ContainerDeps, id: string, request: AttachRequest, client: CommandClient): Promise<Outcome> {
  const container = runningContainer(deps.state, id);
  const io = deps.ios.get(id);
  if (!io) throw new CriError('FAILED_PRECONDITION', `container "${id}" has no streams`);
  const { tty } = container.config;
  const over = new AbortController();
  const detach = await attachPipes(io, client, { stdout: request.stdout, stderr: request.stderr && !tty });
  try {
    const stdin = (request.stdin && container.config.stdin && io.paths.stdin) || undefined;
    client.feed(stdin);
    if (tty) client.onResize(resizer(deps, { containerId: id }));
    const ends = AbortSignal.any([over.signal, client.signal]);
    const exited = deps.state.containers.until(id, ({ state }) => state.phase !== 'running', ends);
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

/** Joins the client to the outputs by pipes of its own; answers how to detach it. */
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
 * The client has ended its input. Where stdin is for one client alone it is closed for good, and the client goes on
 * reading; else this client is done, and others may come (both as containerd does).
 */
async function stdinOver(deps: ContainerDeps, { id, config }: Container, client: CommandClient): Promise<'detach'> {
  const once = config.stdin_once && !config.tty;
  await client.stdinEnded.catch(() => undefined);
  if (!once) return 'detach';
  await deps.containerd.tasks.closeIo({ containerId: id }).catch((thrown: unknown) => {
    deps.log.debug({ container: id, err: CriError.from(thrown).message }, 'stdin not closed');
  });
  return new Promise(() => undefined);
}
