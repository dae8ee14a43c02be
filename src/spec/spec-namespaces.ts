import { NamespaceMode, type NamespaceOption } from '../../generated/runtime/v1/api.js';
import { invalidArgument } from '../base/errors.js';
import type { OciNamespace, OciNamespaceType } from './oci.js';

/**
 * Returns the namespaces of a container. It joins the net, ipc and uts namespaces of the pause process. It also joins
 * its pid namespace, unless the mode is CONTAINER (its own) or TARGET (that of another container). Unprivileged
 * containers on cgroup v2 get a private cgroup namespace. `base` is the order and the additions of a base spec.
 */
export function containerNamespaces(input: {
  readonly options: NamespaceOption | undefined;
  readonly podPid: number;
  readonly targetPid?: number | undefined;
  readonly userNamespace: boolean;
  readonly privateCgroup: boolean;
  readonly base?: readonly OciNamespace[] | undefined;
}): OciNamespace[] {
  const { options, podPid, targetPid, base = DEFAULT_NAMESPACES.map((type) => ({ type })) } = input;
  const chosen: OciNamespace[] = [];
  if (input.privateCgroup) chosen.push({ type: 'cgroup' });
  chosen.push(
    { type: 'network', path: `/proc/${podPid}/ns/net` },
    { type: 'ipc', path: `/proc/${podPid}/ns/ipc` },
    { type: 'uts', path: `/proc/${podPid}/ns/uts` },
    pidNamespace(options?.pid ?? NamespaceMode.POD, podPid, targetPid),
  );
  if (input.userNamespace) chosen.push({ type: 'user', path: `/proc/${podPid}/ns/user` });
  return merged(base, chosen);
}

/** Returns the namespaces of the pause process; mode NODE keeps the host's. The caller creates `netnsPath`. */
export function sandboxNamespaces(input: {
  readonly options: NamespaceOption | undefined;
  readonly netnsPath: string | undefined;
  readonly userNamespace: boolean;
  readonly usernsPath?: string | undefined;
}): OciNamespace[] {
  const { options, netnsPath } = input;
  const dropped = new Set<OciNamespaceType>();
  // A pod on the host's network also uses the host's UTS namespace, which holds the host name.
  if (options?.network === NamespaceMode.NODE) dropped.add('network').add('uts');
  if (options?.pid === NamespaceMode.NODE) dropped.add('pid');
  if (options?.ipc === NamespaceMode.NODE) dropped.add('ipc');
  const base = DEFAULT_NAMESPACES.filter((type) => !dropped.has(type)).map((type) => ({ type }));
  const chosen: OciNamespace[] = [];
  if (!dropped.has('network')) chosen.push({ type: 'network', ...(netnsPath && { path: netnsPath }) });
  if (input.userNamespace) chosen.push({ type: 'user', ...(input.usernsPath && { path: input.usernsPath }) });
  return merged(base, chosen);
}

const DEFAULT_NAMESPACES: readonly OciNamespaceType[] = ['pid', 'ipc', 'uts', 'mount', 'network'];

function pidNamespace(mode: NamespaceMode, podPid: number, targetPid: number | undefined): OciNamespace {
  switch (mode) {
    case NamespaceMode.CONTAINER:
      return { type: 'pid' };
    case NamespaceMode.TARGET:
      if (targetPid === undefined) {
        throw invalidArgument(
          'config.linux.security_context.namespace_options.target_id',
          'names no running container',
        );
      }
      return { type: 'pid', path: `/proc/${targetPid}/ns/pid` };
    case NamespaceMode.POD:
    case NamespaceMode.NODE:
      return { type: 'pid', path: `/proc/${podPid}/ns/pid` };
    default:
      throw invalidArgument('config.linux.security_context.namespace_options.pid', `unknown mode ${mode}`);
  }
}

function merged(base: readonly OciNamespace[], chosen: readonly OciNamespace[]): OciNamespace[] {
  const byType = new Map<OciNamespaceType, OciNamespace>();
  for (const namespace of [...base, ...chosen]) byType.set(namespace.type, namespace);
  return [...byType.values()];
}
