import { setImmediate as nextTurn } from 'node:timers/promises';
import { CriError } from '../../../src/base/errors.js';
import type { CallOptions } from '../../../src/containerd/containerd.js';

/** Runs a call of one client: `subject` is the id, key or name in the request. */
export type Call = <T>(
  method: string,
  subject: string,
  options: CallOptions | undefined,
  work: () => T | Promise<T>,
) => Promise<T>;

/** The connection of one client. */
export interface Connection {
  readonly call: Call;
  /** The calls that have reached containerd, in order: `snapshots.prepare ID`. */
  readonly log: string[];
  /** From now on no call reaches containerd or returns, as if the client's process had been killed. */
  cut(): void;
  /**
   * Ends the calls that hang, and all later ones, so that their callers end too: changes succeed, as if everything was
   * gone, and other calls fail with NOT_FOUND.
   */
  end(): void;
}

/** Every call takes at least a turn of the event loop, so that calls side by side interleave as real ones do. */
export function createConnection(): Connection {
  const log: string[] = [];
  let isCut = false;
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  const hang = async <T>(method: string): Promise<T> => {
    await ended;
    if (/\.(create|update|delete|remove)$/.test(method)) return undefined as T;
    throw new CriError('NOT_FOUND', `${method}: the client has been cut off`);
  };

  return {
    log,
    cut: () => void (isCut = true),
    end: () => end(),
    async call<T>(
      method: string,
      subject: string,
      options: CallOptions | undefined,
      work: () => T | Promise<T>,
    ): Promise<T> {
      if (isCut) return hang<T>(method);
      if (options?.signal?.aborted) throw cancelled(method, subject);
      await nextTurn();
      if (isCut) return hang<T>(method);
      log.push(subject === '' ? method : `${method} ${subject}`);
      try {
        const result = await Promise.race([
          unlessEnded(method, subject, options, Promise.resolve(work())),
          ended.then(() => hang<T>(method)),
        ]);
        return isCut ? await hang<T>(method) : result;
      } catch (thrown) {
        if (isCut) return hang<T>(method);
        throw thrown;
      }
    },
  };
}

const cancelled = (method: string, subject: string): CriError =>
  new CriError('CANCELLED', `${method}: "${subject}": cancelled by the caller`);

/** Returns the result of a call, unless its signal aborts or its time runs out first. */
async function unlessEnded<T>(
  method: string,
  subject: string,
  { signal, timeoutMs = 0 }: CallOptions = {},
  work: Promise<T>,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let onAbort = (): void => undefined;
  const ended = new Promise<never>((_, reject) => {
    onAbort = () => reject(cancelled(method, subject));
    if (signal?.aborted) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    const late = `${method}: "${subject}": no answer from containerd within ${timeoutMs} ms`;
    if (timeoutMs > 0) timer = setTimeout(() => reject(new CriError('DEADLINE_EXCEEDED', late)), timeoutMs);
  });
  try {
    return await Promise.race([work, ended]);
  } catch (thrown) {
    const error = CriError.from(thrown);
    throw error.message.startsWith(`${method}: `) ? error : error.prefixed(method);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}
