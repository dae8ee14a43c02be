import { NamespaceMode, type NamespaceOption } from '../../generated/runtime/v1/api.js';
import { invalidArgument } from '../base/errors.js';
import type { HostFacts, SpecOptions } from './types.js';

/**
 * Returns the sysctls of a pod: the request's, and if the pod has its own network, the configured ones that let an
 * unprivileged process bind low ports and send pings. Pings need a group range, which a user namespace may not set.
 */
export function sandboxSysctls(input: {
  readonly requested: Readonly<Record<string, string>>;
  readonly hostNetwork: boolean;
  readonly userNamespace: boolean;
  readonly options: Pick<SpecOptions, 'enableUnprivilegedPorts' | 'enableUnprivilegedIcmp'>;
  readonly host: Pick<HostFacts, 'unprivilegedPortSysctl'>;
}): Record<string, string> {
  const { requested, hostNetwork, userNamespace, options, host } = input;
  const ports = !hostNetwork && options.enableUnprivilegedPorts && host.unprivilegedPortSysctl;
  const pings = !hostNetwork && options.enableUnprivilegedIcmp && !userNamespace;
  return {
    ...(ports && { 'net.ipv4.ip_unprivileged_port_start': '0' }),
    ...(pings && { 'net.ipv4.ping_group_range': '0 2147483647' }),
    ...requested,
  };
}

/**
 * INVALID_ARGUMENT for a sysctl that is not in one of the pod's own namespaces, and for an invalid name or value
 * (CVE-2022-0811). Names may use `/` in place of `.`, as sysctl(8) allows.
 */
export function checkSysctls(
  sysctls: Readonly<Record<string, string>>,
  namespaces: NamespaceOption | undefined,
  field: string,
): void {
  for (const [name, value] of Object.entries(sysctls)) {
    const where = `${field}[${JSON.stringify(name)}]`;
    if (!isName(name)) throw invalidArgument(where, 'is not the name of a sysctl');
    // No value needs these characters, and helpers of other CRI servers read them as the start of a second sysctl.
    // eslint-disable-next-line no-control-regex
    if (/[\u0000\r\n+=]/.test(value)) throw invalidArgument(where, 'the value contains a line break, NUL, "+" or "="');
    const namespace = namespaceOf(dotted(name));
    if (namespace === undefined) throw invalidArgument(where, 'is not a namespaced sysctl');
    if (dotted(name) === 'kernel.hostname') throw invalidArgument(where, 'set config.hostname instead');
    // A pod shares the host's UTS namespace when it shares the network.
    const host = namespace === 'IPC' ? namespaces?.ipc : namespaces?.network;
    if (host === NamespaceMode.NODE) throw invalidArgument(where, `the pod's ${namespace} namespace is the host's`);
  }
}

/** Whether any sysctl is in the network namespace. */
export const hasNetworkSysctls = (sysctls: Readonly<Record<string, string>>): boolean =>
  Object.keys(sysctls).some((name) => namespaceOf(dotted(name)) === 'network');

/**
 * Returns the file of a sysctl and the namespace that it belongs to: `/proc/sys/net/ipv4/conf/eth0.1/x` and `net` for
 * `net.ipv4.conf.eth0/1.x`. INVALID_ARGUMENT for a name that `checkSysctls` refuses.
 */
export function sysctlFile(name: string): { path: string; namespace: 'net' | 'ipc' | 'uts' } {
  const namespace = isName(name) ? namespaceOf(dotted(name)) : undefined;
  if (namespace === undefined) throw invalidArgument(`sysctl ${JSON.stringify(name)}`, 'is not a namespaced sysctl');
  const path = `/proc/sys/${dotted(name).replaceAll(/[./]/g, (separator) => (separator === '.' ? '/' : '.'))}`;
  return { path, namespace: PROC_NAMES[namespace] };
}

/** An empty part would become `..` in the path of the file, since `.` and `/` change places there. */
const isName = (name: string): boolean => /^[A-Za-z0-9][A-Za-z0-9_\-./]*$/.test(name) && !/[./]([./]|$)/.test(name);

/** The names in /proc/PID/ns. */
const PROC_NAMES = { network: 'net', IPC: 'ipc', UTS: 'uts' } as const;

const IPC_SYSCTLS: ReadonlySet<string> = new Set([
  'kernel.msgmax',
  'kernel.msgmnb',
  'kernel.msgmni',
  'kernel.sem',
  'kernel.shmall',
  'kernel.shmmax',
  'kernel.shmmni',
  'kernel.shm_rmid_forced',
]);
const UTS_SYSCTLS: ReadonlySet<string> = new Set(['kernel.domainname', 'kernel.hostname']);

/** The same rules as runc's (libcontainer/configs/validate). */
function namespaceOf(name: string): 'network' | 'IPC' | 'UTS' | undefined {
  if (name.startsWith('net.')) return 'network';
  if (UTS_SYSCTLS.has(name)) return 'UTS';
  return IPC_SYSCTLS.has(name) || name.startsWith('fs.mqueue.') ? 'IPC' : undefined;
}

/** Returns `net.ipv4.conf.eth0/1.x` for `net/ipv4/conf/eth0.1/x`: the first separator decides the form of a name. */
function dotted(name: string): string {
  if (/[./]/.exec(name)?.[0] !== '/') return name;
  return name.replaceAll(/[./]/g, (separator) => (separator === '/' ? '.' : '/'));
}
