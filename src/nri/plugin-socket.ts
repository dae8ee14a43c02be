import { lstat } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { clearSocket, listenProtected, socketPath } from '../base/protected-socket.js';
import { sleep } from '../base/time.js';
import { unixSockets } from '../host/process/unix-sockets.js';

/** The socket to which plugins connect. */
export interface PluginSocket {
  /** Removes the socket, so that no plugin can connect. */
  stop(): Promise<void>;
  /** Closes the connections. */
  disconnect(): void;
}

export interface PluginSocketOptions {
  readonly log: Logger;
  /** `nri.socket_path` */
  readonly address: string;
  readonly onConnection: (plugin: Socket) => void;
  readonly lookEveryMs?: number | undefined;
}

const OPTION = 'nri.socket_path';
/** The plugins of a node are a few; connections beyond are refused. */
const MAX_CONNECTIONS = 64;
const DIRECTORY_MODE = 0o700;
const LOOK_EVERY_MS = 10_000;

/**
 * Listens for plugins. containerd removes the socket and makes its own whenever it starts with NRI on, so crid looks
 * again and again: it leaves the socket to a runtime that serves it, and takes it when no runtime does. Each problem is
 * logged once.
 */
export async function openPluginSocket(options: PluginSocketOptions): Promise<PluginSocket> {
  const { log, address, onConnection, lookEveryMs = LOOK_EVERY_MS } = options;
  const connections = new Set<Socket>();
  const onSocket = (socket: Socket): void => {
    if (connections.size >= MAX_CONNECTIONS) return void socket.destroy();
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
    onConnection(socket);
  };
  let listener: Listener | undefined;
  let problem = '';
  const look = async (): Promise<void> => {
    if (await listener?.isThere()) return;
    try {
      const next = await listen(socketPath(address, OPTION), log, onSocket);
      listener?.close();
      listener = next;
      problem = '';
      log.info({ socket: next.path }, 'NRI plugins may connect');
    } catch (thrown) {
      const { message } = CriError.from(thrown);
      if (message !== problem) log.warn({ err: message }, listener ? LOST : 'NRI plugins cannot connect');
      problem = message;
    }
  };

  await look();
  const stopped = new AbortController();
  const looking = repeat(look, lookEveryMs, stopped.signal);
  return {
    async stop() {
      stopped.abort();
      await looking;
      await listener?.remove();
      listener?.close();
    },
    disconnect: () => {
      for (const socket of connections) socket.destroy();
    },
  };
}

const LOST = 'another runtime has taken the NRI socket: plugins that connect to it do not get the pods of crid';

/** Ends when `signal` aborts, after the run that is under way. */
async function repeat(run: () => Promise<void>, everyMs: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sleep(everyMs, signal).catch(() => undefined);
    if (!signal.aborted) await run();
  }
}

interface Listener {
  readonly path: string;
  /** Whether the file is still this socket. */
  isThere(): Promise<boolean>;
  /** Removes the file, unless another server has replaced it. */
  remove(): Promise<void>;
  /** Takes no more connections; those that there are stay. */
  close(): void;
}

async function listen(path: string, log: Logger, onSocket: (socket: Socket) => void): Promise<Listener> {
  // Only to ask by a connection would leave an error in the log of the other runtime each time. The kernel's list also
  // has listeners whose file was removed, or is in another mount namespace.
  const isListening = async (): Promise<boolean> =>
    (await unixSockets()).some((socket) => socket.listens && socket.path === path);
  if ((await fileAt(path)) !== undefined && (await isListening()))
    throw new CriError('ALREADY_EXISTS', `${OPTION}: another server answers on "${path}"`);
  await clearSocket(path, OPTION, DIRECTORY_MODE);
  const server = createServer(onSocket);
  try {
    const remove = await listenProtected(path, 0, (hidden) => listening(server, hidden));
    const own = await fileAt(path);
    server.on('error', ({ message }) => log.warn({ err: message }, 'the NRI socket failed'));
    return {
      path,
      isThere: async () => own !== undefined && (await fileAt(path)) === own,
      remove,
      close: () => void server.close(),
    };
  } catch (thrown) {
    server.close();
    throw thrown;
  }
}

/** Identifies a file; undefined if there is none. A new file may get the inode of a removed one. */
const fileAt = (path: string): Promise<string | undefined> =>
  lstat(path, { bigint: true }).then(
    ({ ino, birthtimeNs }) => `${ino} ${birthtimeNs}`,
    () => undefined,
  );

const listening = (server: Server, path: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
