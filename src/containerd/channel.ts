import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2';
import { connect } from 'node:net';
import { CriError } from '../base/errors.js';
import { sleep, unlessAborted, withLimit } from '../base/time.js';
import { withoutScheme } from '../base/unix-socket.js';

/** A connection to containerd, which is made at the first call and again after it was lost. */
export interface Channel {
  /** The connection, if there is one now. */
  readonly session: ClientHttp2Session | undefined;
  /**
   * Waits for the connection, at most `timeoutMs`. UNAVAILABLE with the socket's own error (ENOENT, ECONNREFUSED, …) if
   * there is none by then. `signal` ends the wait early.
   */
  connected(timeoutMs: number, signal: AbortSignal): Promise<ClientHttp2Session>;
  close(): void;
}

const PROBE_TIMEOUT_MS = 1000;
/**
 * The text of an error arrives in a header. nghttp2 stops reading a connection for good, without a sign to Node, at a
 * header above 64 KiB (NGHTTP2_HD_MAX_NV). containerd resets a call whose status is larger than this setting.
 */
const MAX_STATUS_BYTES = 65_000;
const FIRST_PAUSE_MS = 100;
const LAST_PAUSE_MS = 500;

/** Opens the channel to containerd on a unix socket. */
export function openChannel(address: string): Channel {
  const path = withoutScheme(address);
  /** The newest connection, which may still be opening or have ended. */
  let latest: ClientHttp2Session | undefined;
  let isReady = false;
  let attempt: Promise<ClientHttp2Session> | undefined;
  let pauseMs = 0;
  let isClosed = false;

  /** A connection that has ended says so before its event `close`; one that closes has calls left and takes no more. */
  const session = (): ClientHttp2Session | undefined =>
    isReady && latest && !latest.closed && !latest.destroyed ? latest : undefined;
  const connectOnce = async (): Promise<ClientHttp2Session> => {
    try {
      isReady = false;
      if (pauseMs > 0) await sleep(pauseMs);
      if (isClosed) throw new CriError('CANCELLED', 'the channel is closed');
      latest = openSession(path);
      await firstFrame(latest);
      isReady = true;
      pauseMs = 0;
      return latest;
    } catch (thrown) {
      pauseMs = Math.min(LAST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, pauseMs * 2));
      throw thrown;
    } finally {
      attempt = undefined;
    }
  };

  return {
    get session() {
      return session();
    },
    async connected(timeoutMs, signal) {
      const endMs = performance.now() + timeoutMs;
      const late = (): never => {
        throw new CriError('DEADLINE_EXCEEDED', 'no connection in time');
      };
      for (;;) {
        signal.throwIfAborted();
        try {
          // Waiting calls share the attempts.
          return (
            session() ??
            (await unlessAborted(withLimit((attempt ??= connectOnce()), endMs - performance.now(), late), signal))
          );
        } catch (thrown) {
          if (signal.aborted) throw thrown;
          if (performance.now() < endMs && !isClosed) continue;
          throw new CriError('UNAVAILABLE', `containerd at ${address} is not reachable: ${await probe(path)}`);
        }
      }
    },
    close() {
      isClosed = true;
      latest?.destroy();
    },
  };
}

const openSession = (path: string): ClientHttp2Session =>
  connectHttp2('http://localhost', {
    createConnection: () => connect(path),
    // Node otherwise fails calls when their messages need more than 10 MB together.
    maxSessionMemory: Number.MAX_SAFE_INTEGER,
    settings: { maxHeaderListSize: MAX_STATUS_BYTES },
  });

/** Waits for the server's first frame: a socket may accept connections before its server answers. */
function firstFrame(session: ClientHttp2Session): Promise<void> {
  return new Promise((resolve, reject) => {
    session.once('remoteSettings', () => {
      // Calls hold the process while they run (rpc.ts).
      session.unref();
      resolve();
    });
    // Later errors end the session, which its calls see.
    session.on('error', reject);
    session.once('close', () => reject(new Error('the connection was closed')));
  });
}

/** Connects to the socket once more to find the reason why there is no connection. */
function probe(path: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const answer = (reason: string): void => {
      socket.destroy();
      resolve(reason);
    };
    socket.setTimeout(PROBE_TIMEOUT_MS, () => answer('no connection within the time allowed'));
    socket.once('connect', () => answer('the socket accepts connections but speaks no gRPC yet'));
    socket.once('error', (error) => answer(error.message));
  });
}
