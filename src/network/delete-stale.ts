import { withAnySignal } from '../base/async.js';
import { CriError } from '../base/errors.js';
import { wallMs } from '../base/time.js';
import type { AttachPorts } from './attach-pod.js';
import { atLeast } from './cni-version.js';
import type { NetworkConf } from './conf-list.js';
import { delNetwork } from './del-network.js';
import type { NetnsCheck } from './netns-check.js';
import type { KnownPods } from './network.js';
import type { CachedAttachment } from './result-cache.js';
import type { PodNetwork } from './target.js';

export interface GarbagePorts extends AttachPorts {
  readonly netnsIsOpen: NetnsCheck;
  /** The limit of all DELs of one stale attachment. */
  readonly staleDelTimeoutMs: number;
}

/** The keys of attachments, by `attachmentKey`. */
export type Attachments = ReadonlySet<string>;

/** A younger attachment may be one whose program is deleting it now. */
const MIN_AGE_MS = 10 * 60_000;

/** Garbage is collected as in libcni: from version 1.1.0 on, unless an operator has turned it off. */
export const isCollected = ({ conf }: PodNetwork): boolean => atLeast(conf.cniVersion, '1.1.0') && !conf.disableGC;

export const attachmentKey = ({ conf, target }: CachedAttachment): string =>
  [conf.name, target.containerId, target.ifName, target.netns].join(' ');

/**
 * Runs DEL of the stale attachments in libcni's cache: those of containers that crid does not know, and whose network
 * namespace is gone. A younger one than 10 minutes is left for later. Failures are logged. Returns all stale
 * attachments, deleted or not.
 */
export async function deleteStale(
  ports: GarbagePorts,
  networks: readonly PodNetwork[],
  pods: KnownPods,
  signal: AbortSignal,
): Promise<Attachments> {
  const stale = new Set<string>();
  for (const { conf } of networks.filter(isCollected)) {
    if (signal.aborted) break;
    await attempt(ports, { network: conf.name }, async () => {
      for (const cached of (await ports.cache.ofNetwork(conf.name)).attachments) {
        if (signal.aborted) return;
        if (!(await isStale(ports, cached, pods))) continue;
        stale.add(attachmentKey(cached));
        if (wallMs() - cached.writtenAtMs >= MIN_AGE_MS) await deleteOne(ports, conf, cached, signal);
      }
    });
  }
  return stale;
}

/** Older versions of libcni record no namespace: it may be open. */
const isStale = async (
  { netnsIsOpen }: GarbagePorts,
  { target }: CachedAttachment,
  pods: KnownPods,
): Promise<boolean> =>
  !pods.mayBeAttached(target.containerId) && target.netns !== '' && !(await netnsIsOpen(target.netns));

async function deleteOne(
  ports: GarbagePorts,
  today: NetworkConf,
  { conf, target, result }: CachedAttachment,
  signal: AbortSignal,
): Promise<void> {
  const what = { network: conf.name, container: target.containerId };
  const { plugins } = conf.plugins.length > 0 ? conf : today;
  await attempt(ports, what, () =>
    withAnySignal([signal, AbortSignal.timeout(ports.staleDelTimeoutMs)], async (ended) => {
      await delNetwork(ports, { ...conf, plugins }, { ...target, netns: '' }, result, ended);
      ports.log.info(what, 'leaked network attachment deleted');
    }),
  );
}

/** Logs an error; the next collection tries again. */
export async function attempt(
  { log }: Pick<AttachPorts, 'log'>,
  what: Readonly<Record<string, string>>,
  work: () => Promise<unknown>,
): Promise<void> {
  try {
    await work();
  } catch (thrown) {
    log.warn({ ...what, err: CriError.from(thrown).message }, 'garbage of a network not collected');
  }
}
