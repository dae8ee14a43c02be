import type { CallContext } from 'nice-grpc';
import { CriError } from '../base/errors.js';
import { startTimer } from '../base/time.js';
import { collectWaits, type Waits } from '../base/waits.js';
import { answerDueInMs } from '../operation/operation.js';
import { callerOf, definitionOf, type GeneratedService, type Service } from './service.js';

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
  const passed = async (index: number, context: CallContext): Promise<Service> => {
    if (!opened && !failure) await waiting.wait(context);
    if (!opened) throw new CriError('UNAVAILABLE', reason());
    return opened[index]!;
  };

  return {
    services: generated.map((service, index) => ({
      definition: mapMethods(service, (key, method) => ({
        ...definitionOf(service, method),
        responseSerialize: (message: unknown) => opened![index]!.definition[key]!.responseSerialize(message),
      })),
      implementation: mapMethods(service, (key, { name, responseStream }) => {
        const handlerFor = async (context: CallContext): Promise<Service['implementation'][string]> => {
          const handler = (await passed(index, context)).implementation[key];
          if (!handler) throw new CriError('UNIMPLEMENTED', `${name} is not implemented`);
          return handler;
        };
        if (!responseStream) return async (request, context) => (await handlerFor(context))(request, context);
        return async function* (request: unknown, context: CallContext) {
          yield* (await handlerFor(context))(request, context) as AsyncIterable<unknown>;
        };
      }),
    })),
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

const mapMethods = <T>(
  { methods }: GeneratedService,
  map: (key: string, method: GeneratedService['methods'][string]) => T,
): Record<string, T> => Object.fromEntries(Object.entries(methods).map(([key, method]) => [key, map(key, method)]));

/** Lets calls wait until `end`, but at most `waitMs` and not past the caller's own deadline. */
function createWaiting(waitMs: number) {
  const ends = new Set<() => void>();
  return {
    wait: (context: CallContext): Promise<void> =>
      new Promise((resolve) => {
        const end = (): void => {
          timer.clear();
          ends.delete(end);
          resolve();
        };
        const timer = startTimer(Math.min(waitMs, answerDueInMs(callerOf(context)) ?? waitMs), end);
        ends.add(end);
      }),
    end(): void {
      for (const end of [...ends]) end();
    },
  };
}
