import type { Config, RuntimeHandler } from '../config/schema.js';
import { handlerCgroupDriver, nodeCgroupDriver } from '../runtime/node-cgroup-driver.js';
import { fault, ok, warning, type Finding } from './finding.js';

/**
 * Shows the cgroup driver that crid reports to the kubelet, and each handler whose runtime cannot work with it.
 * `systemd`: whether the node runs systemd; `version`: the version of the node's cgroups.
 */
export function checkCgroups(
  config: Config,
  { systemd, version }: { readonly systemd: boolean; readonly version: 1 | 2 },
): Finding[] {
  const driver = nodeCgroupDriver(config, systemd);
  const handlers = Object.entries(config.runtime.containerd.runtimes);
  return [
    ok('cgroups', `v${version}, driver ${driver}, which the kubelet has to use too`),
    ...(driver === 'cgroupfs' && systemd && version === 2 ? [warning('cgroups', TWO_MANAGERS)] : []),
    ...handlers.flatMap((handler) => checkDriver(handler, driver, systemd)),
  ];
}

const TWO_MANAGERS =
  'systemd owns the tree of cgroup v2, and cgroupfs creates cgroups in it too: to use the systemd driver, set ' +
  'SystemdCgroup = true in the options of every runtime, then restart crid and the kubelet, which restarts its pods';

function checkDriver([name, handler]: [string, RuntimeHandler], node: string, systemd: boolean): Finding[] {
  const subject = `handler ${name}`;
  const driver = handlerCgroupDriver(handler);
  if (driver === 'systemd' && !systemd) {
    return [fault(subject, 'SystemdCgroup is set, but systemd does not run on this node: its containers cannot start')];
  }
  if (driver === undefined || driver === node) return [];
  const advice = `set SystemdCgroup = ${node === 'systemd'} in its options`;
  return [fault(subject, `uses ${driver}, but the kubelet gets ${node} from crid: its pods are refused; ${advice}`)];
}
