import { withAnySignal } from '../base/async.js';
import { CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { addNetwork } from './add-network.js';
import { toCniResult } from './cni-result.js';
import { isCniName } from './conf-list.js';
import { delNetwork } from './del-network.js';
import type { JsonObject } from './json.js';
import type { Attachment, NetworkPod } from './network.js';
import type { Plugins } from './plugins.js';
import { podIps, type IpPreference } from './pod-ips.js';
import type { ResultCache } from './result-cache.js';
import { DEFAULT_INTERFACE, podTarget, type PodNetwork, type Target } from './target.js';

export interface AttachPorts {
  readonly plugins: Plugins;
  readonly cache: ResultCache;
  readonly log: Logger;
}

/** How long a failed attach may take to delete one network; detach deletes what is left. */
const ROLLBACK_TIMEOUT_MS = 10_000;

/** Runs ADD of all networks, in parallel unless `serially`. On any failure runs DEL of those begun, last first. */
export async function attachPod(
  ports: AttachPorts,
  pod: NetworkPod,
  networks: readonly PodNetwork[],
  options: { readonly serially: boolean; readonly ipPref: IpPreference },
  signal: AbortSignal,
): Promise<Attachment> {
  if (!isCniName(pod.id))
    throw new CriError('INVALID_ARGUMENT', `pod id ${JSON.stringify(pod.id)} is not a valid container id for CNI`);
  const target = podTarget(pod);
  // Find a missing binary before the first ADD, so that there is nothing to roll back.
  for (const { conf } of networks) for (const { type } of conf.plugins) await ports.plugins.find(type);

  const begun: PodNetwork[] = [];
  const add = async (network: PodNetwork, until: AbortSignal): Promise<JsonObject> => {
    begun.push(network);
    return addNetwork(ports, network.conf, { ...target, ifName: network.ifName }, until);
  };
  try {
    const results = options.serially
      ? await oneByOne(networks, (network) => add(network, signal))
      : await atOnce(networks, add, signal);
    const result = toCniResult(
      results.map((added, index) => ({ network: networks[index]?.conf.name ?? '', result: added })),
    );
    const ips = podIps(result, options.ipPref);
    if (ips.length === 0) {
      throw new CriError(
        'UNKNOWN',
        `network ${nameOf(networks)} gave ${DEFAULT_INTERFACE} of pod ${pod.id} no address`,
      );
    }
    return { result, ips };
  } catch (thrown) {
    for (const network of begun.reverse()) await rollBack(ports, network, { ...target, ifName: network.ifName });
    throw thrown;
  }
}

const nameOf = (networks: readonly PodNetwork[]): string =>
  networks.find(({ ifName }) => ifName === DEFAULT_INTERFACE)?.conf.name ?? '';

async function oneByOne<T, R>(items: readonly T[], run: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const item of items) results.push(await run(item));
  return results;
}

/** Throws the earliest error once all runs have ended. It stops the others, since all networks are then deleted. */
async function atOnce<T, R>(
  items: readonly T[],
  run: (item: T, signal: AbortSignal) => Promise<R>,
  signal: AbortSignal,
): Promise<R[]> {
  const stop = new AbortController();
  let first: unknown;
  const runs = items.map((item) =>
    withAnySignal([signal, stop.signal], (ended) => run(item, ended)).catch((thrown: unknown) => {
      first ??= thrown;
      stop.abort(new CriError('ABORTED', 'another network of the pod failed'));
      throw thrown;
    }),
  );
  await Promise.allSettled(runs);
  if (first) throw first;
  return Promise.all(runs);
}

async function rollBack(ports: AttachPorts, { conf }: PodNetwork, target: Target): Promise<void> {
  try {
    await delNetwork(ports, conf, target, undefined, AbortSignal.timeout(ROLLBACK_TIMEOUT_MS));
  } catch (thrown) {
    const err = CriError.from(thrown).message;
    ports.log.warn(
      { pod: target.containerId, network: conf.name, err },
      'network not rolled back, left for the detach',
    );
  }
}
