import { CriError } from '../base/errors.js';
import { startTimer } from '../base/time.js';
import { collectWaits, type Waits } from '../base/waits.js';
import { answerDueInMs, type Caller } from '../operation/operation.js';
import { pathOf, type GeneratedService, type Service, type ServedMethod } from './service.js';

/** How long a call waits for the start before it fails; a kubelet retries it. */
const WAIT_MS = 2_000;

/** The services while crid starts: the socket accepts connections, and calls wait until the handlers are ready. */
export interface StartGate {
  readonly services: readonly Service[];
  /**
   * Runs the start. A call that fails meanwhile names what the start waits for; after a failed start, it names the
   * failure.
   */
  run<T>(work: () => Promise<T>): Promise<T>;
  /** Hands the calls, those that wait included, to these services, in the order of the generated services. */
  open(services: readonly Service[]): void;
}

/**
 * Until `open`, each call waits at most `waitMs`, and then fails with UNAVAILABLE and names what the start waits for.
 */
export function createStartGate(generated: readonly GeneratedService[], waitMs = WAIT_MS): StartGate {
  const waiting = createWaiting(waitMs);
  let opened: readonly Service[] | undefined;
  let failure: CriError | undefined;
  let waits: Waits | undefined;

  const reason = (): string => {
    if (failure) return `crid cannot start: ${failure.message}`;
    const what = waits?.describe();
    return what === undefined ? 'crid is starting' : `crid is starting, waiting for ${what}`;
  };
  const passed = async (index: number, caller: Caller): Promise<Service> => {
    if (!opened && !failure) await waiting.wait(caller);
    if (!opened) throw new CriError('UNAVAILABLE', reason());
    return opened[index]!;
  };
  const methodOf = async (index: number, key: string, name: string, caller: Caller): Promise<ServedMethod> => {
    const method = (await passed(index, caller))[key];
    if (!method) throw new CriError('UNIMPLEMENTED', `${name} is not implemented`);
    return method;
  };
  const served = (service: GeneratedService, index: number, key: string): ServedMethod => {
    const method = service.methods[key]!;
    const find = (caller: Caller): Promise<ServedMethod> => methodOf(index, key, method.name, caller);
    return {
      path: pathOf(service, method),
      responseStream: method.responseStream,
      decode: (message) => method.requestType.decode(message),
      encode: (response) => opened![index]![key]!.encode(response),
      handle: method.responseStream
        ? async function* (request: unknown, caller: Caller) {
            yield* (await find(caller)).handle(request, caller) as AsyncIterable<unknown>;
          }
        : async (request, caller) => (await find(caller)).handle(request, caller),
    };
  };

  return {
    services: generated.map((service, index) =>
      Object.fromEntries(Object.keys(service.methods).map((key) => [key, served(service, index, key)])),
    ),
    async run(work) {
      try {
        return await collectWaits(work, (all) => (waits = all));
      } catch (thrown) {
        failure = CriError.from(thrown);
        waiting.end();
        throw thrown;
      }
    },
    open(services) {
      opened = services;
      waiting.end();
    },
  };
}

/** Lets calls wait until `end`, but at most `waitMs` and not past the caller's own deadline. */
function createWaiting(waitMs: number) {
  const ends = new Set<() => void>();
  return {
    wait: (caller: Caller): Promise<void> =>
      new Promise((resolve) => {
        const end = (): void => {
          timer.clear();
          ends.delete(end);
          resolve();
        };
        const timer = startTimer(Math.min(waitMs, answerDueInMs(caller) ?? waitMs), end);
        ends.add(end);
      }),
    end(): void {
      for (const end of [...ends]) end();
    },
  };
}
