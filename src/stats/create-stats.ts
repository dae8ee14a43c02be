import type { Logger } from '../base/log.js';
import { durationMs, type Config } from '../config/schema.js';
import type { Containerd } from '../containerd/containerd.js';
import { openCgroupReader } from '../host/cgroup/cgroup-reader.js';
import { snapshotterRoots } from '../state/snapshotter-root.js';
import type { State } from '../state/state.js';
import { createCpuRates } from './cpu-rates.js';
import { startSampler } from './sampler.js';
import type { StatsDeps } from './stats-deps.js';
import { createWritableLayers } from './writable-layers.js';

const MIN_WINDOW_MS = 100;

/** Creates the dependencies of statistics, and starts the sampler, which runs until `close`. */
export async function createStats(options: {
  config: Config;
  log: Logger;
  containerd: Containerd;
  state: State;
}): Promise<{ deps: StatsDeps; close(): void }> {
  const { config, log, containerd, state } = options;
  const windowMs = Math.max(durationMs(config.runtime.stats_collect_period), MIN_WINDOW_MS);
  const deps: StatsDeps = {
    log,
    containerd,
    state,
    cgroups: await openCgroupReader(),
    rates: createCpuRates(windowMs),
    layers: createWritableLayers({
      snapshots: containerd.snapshots,
      freshMs: config.images.stats_collect_period * 1000,
      log,
    }),
    mountpoint: snapshotterRoots(containerd, config.root),
  };
  return { deps, close: startSampler(deps, windowMs) };
}
