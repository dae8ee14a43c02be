import { CgroupDriver, type RuntimeConfigResponse } from '../../generated/runtime/v1/api.js';
import type { Config } from '../config/schema.js';
import { nodeCgroupDriver } from './node-cgroup-driver.js';

export interface RuntimeConfigDeps {
  readonly config: Config;
  /** Whether the node runs systemd, for when no runtime says which driver it uses. */
  readonly systemd: boolean;
}

/** CRI RuntimeConfig: returns the cgroup driver that the runtimes use, which a kubelet adopts from v1.31 on. */
export const runtimeConfig =
  ({ config, systemd }: RuntimeConfigDeps) =>
  (): RuntimeConfigResponse => ({ linux: { cgroup_driver: WIRE[nodeCgroupDriver(config, systemd)] } });

const WIRE = { systemd: CgroupDriver.SYSTEMD, cgroupfs: CgroupDriver.CGROUPFS } as const;
