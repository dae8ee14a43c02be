import type { Logger } from '../base/log.js';
import type { Containerd } from '../containerd/containerd.js';
import type { CgroupReader } from '../host/cgroup/cgroup-reader.js';
import type { State } from '../state/state.js';
import type { CpuRates } from './cpu-rates.js';
import type { WritableLayers } from './writable-layers.js';

/** The dependencies of statistics. The composition root creates them once. */
export interface StatsDeps {
  readonly log: Logger;
  readonly containerd: Pick<Containerd, 'tasks' | 'namespace'>;
  readonly state: State;
  readonly cgroups: CgroupReader;
  readonly rates: CpuRates;
  readonly layers: WritableLayers;
  /** Returns the directory that contains the layers of a snapshotter. */
  readonly mountpoint: (snapshotter: string) => Promise<string>;
}
