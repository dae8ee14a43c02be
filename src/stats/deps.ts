import type { Logger } from '../base/log.js';
import type { Containerd } from '../containerd/containerd.js';
import type { CgroupReader } from '../host/cgroup-reader.js';
import type { State } from '../state/state.js';
import type { CpuRates } from './cpu-rates.js';
import type { WritableLayers } from './writable-layers.js';

/** What statistics are made of; the composition root makes it once. */
export interface StatsDeps {
  readonly log: Logger;
  readonly containerd: Pick<Containerd, 'tasks' | 'namespace'>;
  readonly state: State;
  readonly cgroups: CgroupReader;
  readonly rates: CpuRates;
  readonly layers: WritableLayers;
  /** The folder that the layers of a snapshotter lie in. */
  readonly mountpoint: (snapshotter: string) => Promise<string>;
}
