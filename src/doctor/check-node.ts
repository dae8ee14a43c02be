import { readFile } from 'node:fs/promises';
import { CgroupDriver } from '../../generated/runtime/v1/api.js';
import type { Config } from '../config/schema.js';
import { hostFacts, runsSystemd } from '../runtime/host-facts.js';
import { runtimeConfig } from '../runtime/runtime-config.js';
import { ok, warning, type Finding } from './finding.js';

/** The kernel's part, and the cgroup driver that the kubelet has to share. */
export async function checkNode(config: Config): Promise<Finding[]> {
  const [facts, systemd, ...sysctls] = await Promise.all([hostFacts(), runsSystemd(), ...SYSCTLS.map(checkSysctl)]);
  const { linux } = runtimeConfig({ config, systemd })();
  const usesSystemd = linux?.cgroup_driver === CgroupDriver.SYSTEMD;
  const has = [facts.seccomp && 'seccomp', facts.apparmor && 'AppArmor', facts.selinux && 'SELinux'].filter(Boolean);
  return [
    ok('cgroups', `v${facts.cgroupVersion}, driver ${usesSystemd ? 'systemd' : 'cgroupfs'}: the kubelet's as well`),
    ...(usesSystemd && !systemd ? [warning('cgroups', 'SystemdCgroup is set, and systemd does not run here')] : []),
    ...(!usesSystemd && systemd && facts.cgroupVersion === 2
      ? [
          warning(
            'cgroups',
            'systemd owns the tree of cgroup v2: set SystemdCgroup = true in the options of the runtime',
          ),
        ]
      : []),
    ok('kernel', has.length === 0 ? 'no seccomp, AppArmor or SELinux' : has.join(', ')),
    ...(config.runtime.enable_selinux && !facts.selinux
      ? [warning('kernel', 'enable_selinux is set, and this node has no SELinux: pods get no labels')]
      : []),
    ...sysctls.flat(),
  ];
}

/** What most networks need, and kubeadm asks for. */
const SYSCTLS = [
  { name: 'net.ipv4.ip_forward', without: 'pods reach only their own node' },
  { name: 'net.bridge.bridge-nf-call-iptables', without: 'Services may not work between pods of this node' },
];

async function checkSysctl({ name, without }: { name: string; without: string }): Promise<Finding[]> {
  // Absent where the module br_netfilter is not loaded, as on nodes whose network needs no bridge.
  const value = await readFile(`/proc/sys/${name.replaceAll('.', '/')}`, 'utf8').catch(() => undefined);
  return value?.trim() === '0' ? [warning('sysctl', `${name} is 0: ${without}`)] : [];
}
