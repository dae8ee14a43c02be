import { readFile } from 'node:fs/promises';
import type { Config } from '../config/schema.js';
import { kernelProblems } from '../host/syscall/kernel.js';
import { hostFacts, runsSystemd } from '../runtime/host-facts.js';
import { checkCgroups } from './check-cgroups.js';
import { fault, ok, warning, type Finding } from './finding.js';

/** Checks the kernel, its sysctls, and the cgroup driver that the kubelet has to use as well. */
export async function checkNode(config: Config): Promise<Finding[]> {
  const [facts, systemd, ...sysctls] = await Promise.all([hostFacts(), runsSystemd(), ...SYSCTLS.map(checkSysctl)]);
  const has = [facts.seccomp && 'seccomp', facts.apparmor && 'AppArmor', facts.selinux && 'SELinux'].filter(Boolean);
  return [
    ...checkCgroups(config, { systemd, version: facts.cgroupVersion }),
    ok('kernel', has.length === 0 ? 'no seccomp, AppArmor or SELinux' : has.join(', ')),
    ...kernelProblems().map((problem) => fault('kernel', problem)),
    ...(config.runtime.enable_selinux && !facts.selinux
      ? [warning('kernel', 'enable_selinux is set, but this node has no SELinux: pods get no labels')]
      : []),
    ...sysctls.flat(),
  ];
}

/** Sysctls that most networks need and that kubeadm asks for. */
const SYSCTLS = [
  { name: 'net.ipv4.ip_forward', without: 'pods reach only their own node' },
  { name: 'net.bridge.bridge-nf-call-iptables', without: 'Services may not work between pods of this node' },
];

async function checkSysctl({ name, without }: { name: string; without: string }): Promise<Finding[]> {
  // Absent where the module br_netfilter is not loaded, as on nodes whose network needs no bridge.
  const value = await readFile(`/proc/sys/${name.replaceAll('.', '/')}`, 'utf8').catch(() => undefined);
  return value?.trim() === '0' ? [warning('sysctl', `${name} is 0: ${without}`)] : [];
}
