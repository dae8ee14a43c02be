import { readFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { Worker } from 'node:worker_threads';
import { inBackground } from '../base/background.js';
import { CriError, doing } from '../base/errors.js';
import type { LastResort } from '../base/last-resort.js';
import type { Logger } from '../base/log.js';
import { durationMs } from '../config/duration.js';
import type { Config, StreamingConfig } from '../config/schema.js';
import { createClientSessions, type ClientSessions } from './server/client-sessions.js';
import type { FromWorker, StreamWorkerData, ToWorker } from './shared/session-messages.js';
import type { CommandRequest, ForwardRequest, Streaming } from './streaming.js';
import { selfSigned } from './server/self-signed.js';
import { createTokens } from './server/tokens.js';

/** Starts the streaming thread. Resolves when it listens. */
export async function createStreaming(options: {
  /** The idle timeout is read for each connection, all other options once. */
  config: Pick<Config, 'streaming'>;
  log: Logger;
  /** Hears of errors that no code of the thread handled. */
  onUnhandled?: LastResort['onUnhandled'];
  /** The number of CRI calls in progress, in shared memory. Streams are throttled while it is not 0. */
  callsUnderWay?: Int32Array;
  /** Another worker script, for tests. */
  workerUrl?: URL;
}): Promise<Streaming> {
  const { config, log, callsUnderWay = new Int32Array(1) } = options;
  const onUnhandled =
    options.onUnhandled ?? ((err, origin) => log.error({ err: CriError.from(err).message, origin }, 'unhandled error'));
  const { stream_server_address, stream_server_port } = config.streaming;
  const address = stream_server_address || hostAddress();
  const tls = await keyPair(config.streaming);
  const tokens = createTokens<CommandRequest | ForwardRequest>({ limit: MAX_TOKENS, lifetimeMs: TOKEN_LIFETIME_MS });
  let port = Number(stream_server_port);
  /** Threads that have not exited, including those that are still starting. */
  const threads = new Set<RunningThread>();
  let running: RunningThread | undefined;
  let closing = false;

  const start = async (): Promise<void> => {
    const data = { address, port, tls, callsUnderWay };
    const idleTimeoutMs = (): number => durationMs(config.streaming.stream_idle_timeout);
    const hooks = { log, onUnhandled, idleTimeoutMs };
    const thread = startThread(options.workerUrl ?? WORKER_URL, data, hooks, (route, token) => {
      const request = tokens.redeem(token);
      return request?.route === route ? request : undefined;
    });
    threads.add(thread);
    inBackground(
      log,
      'restarting the streaming thread',
      thread.exited.then(() => onExit(thread)),
    );
    port = await thread.listening;
    running = thread;
  };

  const onExit = (thread: RunningThread): void => {
    threads.delete(thread);
    if (running !== thread || closing) return;
    running = undefined;
    log.error('the streaming thread died, restarting it');
    restart();
  };

  // The new thread listens on the same port, so that URLs that were handed out remain valid.
  const restart = (): void => {
    setTimeout(() => {
      if (closing) return;
      start().catch((error: unknown) => {
        if (closing) return;
        log.error({ err: CriError.from(error).message }, 'cannot restart the streaming thread');
        restart();
      });
    }, RESTART_DELAY_MS);
  };

  await doing(`listen on ${address} for streaming`, start);
  log.info({ address, port, tls: tls !== undefined }, 'streaming server listens');

  return {
    url(request) {
      if (!running) throw new CriError('UNAVAILABLE', 'the streaming server is starting');
      const host = isIPv6(address) ? `[${address}]` : address;
      return `${tls ? 'https' : 'http'}://${host}:${port}/${request.route}/${tokens.issue(request)}`;
    },
    async close() {
      closing = true;
      await Promise.all([...threads].map((thread) => thread.stop()));
      running = undefined;
    },
  };
}

interface RunningThread {
  /** Resolves with the port once the thread listens. */
  readonly listening: Promise<number>;
  readonly exited: Promise<void>;
  /** Ends all sessions, then the thread. The thread is terminated after `SETTLE_MS` at the latest. */
  stop(): Promise<void>;
}

const WORKER_URL = new URL('./stream-worker.js', import.meta.url);
const MAX_TOKENS = 1_000;
const TOKEN_LIFETIME_MS = 60_000;
const RESTART_DELAY_MS = 200;
const SETTLE_MS = 10_000;

function startThread(
  url: URL,
  workerData: StreamWorkerData,
  hooks: { log: Logger; onUnhandled: LastResort['onUnhandled']; idleTimeoutMs: () => number },
  redeem: (route: string, token: string) => CommandRequest | ForwardRequest | undefined,
): RunningThread {
  const { log, onUnhandled } = hooks;
  // A Socket made from a descriptor closes it. With tracking on, Node would close the same number again when the thread
  // exits.
  const worker = new Worker(url, { workerData, trackUnmanagedFds: false });
  const post = (message: ToWorker): void => worker.postMessage(message);
  const sessions: ClientSessions = createClientSessions({ log, post, idleTimeoutMs: hooks.idleTimeoutMs });
  let onListening: (port: number) => void;
  let onFailed: (error: unknown) => void;
  const listening = new Promise<number>((resolve, reject) => {
    onListening = resolve;
    onFailed = reject;
  });

  worker.on('message', (message: FromWorker) => {
    if (message.kind === 'listening') return onListening(message.port);
    if (message.kind === 'unhandled') return onUnhandled(message.error, `${message.origin} in the streaming thread`);
    if (message.kind !== 'redeem') return sessions.onMessage(message);
    const request = redeem(message.route, message.token);
    if (request) sessions.begin(message.session, request);
    else post({ kind: 'refused', session: message.session });
  });
  worker.on('error', (error) => {
    onUnhandled(error, 'the streaming thread, which ends');
    onFailed(error);
  });
  const exited = new Promise<void>((resolve) => {
    worker.once('exit', () => {
      onFailed(new CriError('UNAVAILABLE', 'the streaming thread ended'));
      sessions.endAll('the streaming thread ended');
      resolve();
    });
  });

  return {
    listening,
    exited,
    async stop() {
      const endMs = performance.now() + SETTLE_MS;
      post({ kind: 'stop' });
      sessions.endAll('crid stops');
      const late = setTimeout(() => inBackground(log, 'ending the streaming thread', worker.terminate()), SETTLE_MS);
      await exited;
      clearTimeout(late);
      await sessions.settled(Math.max(0, endMs - performance.now()));
    },
  };
}

/** The address that `""` stands for, as in containerd: the first external IPv4 address of the host. */
function hostAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return all.find(({ internal, family }) => !internal && family === 'IPv4')?.address ?? '127.0.0.1';
}

async function keyPair({ enable_tls_streaming, x509_key_pair_streaming: pair }: StreamingConfig) {
  if (!enable_tls_streaming) return undefined;
  if (pair.tls_cert_file === '') return selfSigned();
  const [cert, key] = await doing('read the key pair for streaming', () =>
    Promise.all([readFile(pair.tls_cert_file, 'utf8'), readFile(pair.tls_key_file, 'utf8')]),
  );
  return { cert, key };
}
