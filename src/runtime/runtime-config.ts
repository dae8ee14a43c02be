import { CgroupDriver, type RuntimeConfigResponse } from '../../generated/runtime/v1/api.js';
import type { Config } from '../config/schema.js';

export interface RuntimeConfigDeps {
  readonly config: Config;
  /** Whether the node runs systemd, for when no runtime says which driver it uses. */
  readonly systemd: boolean;
}

/** CRI RuntimeConfig: the cgroup driver that the default runtime is set to, else any other's, else what the node suggests. */
export const runtimeConfig =
  ({ config, systemd }: RuntimeConfigDeps) =>
  (): RuntimeConfigResponse => {
    const { runtimes, default_runtime_name } = config.runtime.containerd;
    const options = [runtimes[default_runtime_name], ...Object.values(runtimes)].map(
      (handler) => handler?.options['SystemdCgroup'],
    );
    const said = options.find((value) => typeof value === 'boolean') ?? systemd;
    return { linux: { cgroup_driver: said ? CgroupDriver.SYSTEMD : CgroupDriver.CGROUPFS } };
  };
