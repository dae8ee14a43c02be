import { readFile } from 'node:fs/promises';
import { arch, hostname } from 'node:os';
import { parsePermittedCapabilities } from '../spec/security/capabilities.js';
import type { HostFacts } from '../spec/types.js';
import { appArmorEnabled } from '../host/security/host-apparmor.js';
import { cgroupControllers, cgroupMountOptions, cgroupVersion } from '../host/cgroup/cgroups.js';
import { exists } from '../host/files/files.js';
import { hasCapSysResource, selfOomScoreAdj } from '../host/process/processes.js';
import { seccompAvailable } from '../host/security/host-seccomp.js';
import { selinuxEnabled } from '../host/security/host-selinux.js';

/** Reads the facts of this machine that an OCI spec depends on, once at start. */
export async function hostFacts(): Promise<HostFacts> {
  const [controllers, mountOptions, oomScoreAdj, unprivilegedPortSysctl, ownStatus] = await Promise.all([
    cgroupControllers(),
    cgroupMountOptions(),
    selfOomScoreAdj(),
    exists('/proc/sys/net/ipv4/ip_unprivileged_port_start'),
    readFile('/proc/self/status', 'utf8'),
  ]);
  return {
    cgroupVersion: cgroupVersion(),
    apparmor: appArmorEnabled(),
    seccomp: seccompAvailable(),
    selinux: selinuxEnabled(),
    swapController: controllers.swap,
    hugetlbController: controllers.hugetlb,
    cgroupMountOptions: mountOptions,
    hostname: hostname(),
    machine: arch(),
    oomScoreAdj,
    mayLowerOomScore: hasCapSysResource(),
    unprivilegedPortSysctl,
    capabilities: parsePermittedCapabilities(ownStatus),
  };
}

/** Whether systemd is the node's init (sd_booted(3)). */
export const runsSystemd = (): Promise<boolean> => exists('/run/systemd/system');
