import { setTimeout as sleep } from 'node:timers/promises';
import { inBackground } from '../base/background.js';
import { CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import type { CniResult, KnownPods, Network } from '../network/network.js';
import type { Operations } from '../operation/operation.js';
import type { Pod } from '../state/records.js';
import type { State } from '../state/state.js';

const HOUR_MS = 60 * 60_000;
/** After a collection that did not run because pods were being started all the time. */
const AGAIN_MS = 5 * 60_000;
const LIMIT_MS = 10 * 60_000;
const STEP_LIMIT_MS = 3 * 60_000;

type KnownState = Pick<State, 'pods' | 'starting' | 'claims'>;

/**
 * Releases at the end of the recovery, and then every hour, what networks hold for pods that no longer exist (CNI spec
 * 1.1.0, "GC"). Returns a function that ends it.
 */
export function collectNetworkGarbage(
  deps: { readonly log: Logger; readonly operations: Operations; readonly state: KnownState },
  /** Returns the networks in use. */
  networksNow: () => readonly Network[],
  recovered: Promise<void>,
): () => void {
  const closing = new AbortController();
  const { signal } = closing;
  const collect = async (): Promise<boolean> => {
    let isDone = true;
    const networks = networksNow();
    await deps.operations.run({
      kind: 'collect network garbage',
      subject: `${networks.length} CNI directories`,
      key: 'network-garbage',
      caller: { signal },
      limitMs: LIMIT_MS,
      work: async (steps) => {
        for (const network of networks) {
          const work = (stop: AbortSignal): Promise<boolean> => network.collectGarbage(knownPods(deps.state), stop);
          const done = await steps.step('collect garbage', work, undefined, { timeoutMs: STEP_LIMIT_MS });
          isDone = done && isDone;
        }
      },
    });
    return isDone;
  };
  const repeat = async (): Promise<void> => {
    await recovered;
    while (!signal.aborted) {
      const isDone = await collect().catch((thrown: unknown) => {
        deps.log.warn({ err: CriError.from(thrown).message }, 'garbage of networks not collected');
        return true;
      });
      await sleep(isDone ? HOUR_MS : AGAIN_MS, undefined, { signal, ref: false }).catch(() => undefined);
    }
  };
  inBackground(deps.log, 'collecting the garbage of networks', repeat());
  return () => closing.abort();
}

function knownPods({ pods, starting, claims }: KnownState): KnownPods {
  const mayHaveNetwork = ({ netnsPath, state }: Pod): boolean =>
    netnsPath !== '' && (state.phase === 'ready' || !state.released);
  return {
    attached: () => [
      ...pods
        .list()
        .filter(mayHaveNetwork)
        .map(({ id, network }) => ({ id, interfaces: interfacesOf(network?.result) })),
      ...[...starting].map((id) => ({ id, interfaces: [] })),
    ],
    mayBeAttached: (id) => {
      if (starting.has(id)) return true;
      const pod = pods.byId(id);
      return pod ? mayHaveNetwork(pod) : claims.hasId(id);
    },
  };
}

/** An interface without a sandbox is one on the host. */
const interfacesOf = (result: CniResult | undefined): string[] =>
  Object.entries(result?.Interfaces ?? {})
    .filter(([, { Sandbox }]) => Sandbox !== '')
    .map(([name]) => name);
