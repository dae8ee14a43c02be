import { access } from 'node:fs/promises';
import { arch, hostname } from 'node:os';
import type { HostFacts } from '../spec/types.js';
import { appArmorEnabled } from '../host/apparmor.js';
import { cgroupControllers, cgroupVersion } from '../host/cgroups.js';
import { hasCapSysResource, selfOomScoreAdj } from '../host/process.js';
import { seccompAvailable } from '../host/seccomp.js';
import { selinuxEnabled } from '../host/selinux.js';

/** What an OCI spec depends on of this machine, read once at start. */
export async function hostFacts(): Promise<HostFacts> {
  const [controllers, oomScoreAdj, unprivilegedPortSysctl] = await Promise.all([
    cgroupControllers(),
    selfOomScoreAdj(),
    exists('/proc/sys/net/ipv4/ip_unprivileged_port_start'),
  ]);
  return {
    cgroupVersion: cgroupVersion(),
    apparmor: appArmorEnabled(),
    seccomp: seccompAvailable(),
    selinux: selinuxEnabled(),
    swapController: controllers.swap,
    hugetlbController: controllers.hugetlb,
    hostname: hostname(),
    machine: arch(),
    oomScoreAdj,
    mayLowerOomScore: hasCapSysResource(),
    unprivilegedPortSysctl,
  };
}

/** Whether systemd is the node's init (sd_booted(3)). */
export const runsSystemd = (): Promise<boolean> => exists('/run/systemd/system');

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
