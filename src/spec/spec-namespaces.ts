import { NamespaceMode, type NamespaceOption } from '../../generated/runtime/v1/api.js';
import { CriError, invalidArgument } from '../base/errors.js';
import type { CgroupView } from './cgroup-view.js';
import type { OciNamespace, OciNamespaceType } from './oci.js';

/**
 * Returns the namespaces of a container. It joins the net, ipc and uts namespaces of the pause process. It also joins
 * its pid namespace, unless the mode is CONTAINER (its own) or TARGET (that of another container). `base` is
 * the order and the additions of a base spec.
 *
 * A path in `given`, from the pod's sandboxer, replaces that of the process. A pod without either must be in the
 * host's namespace of the type, else FAILED_PRECONDITION: runc would take `/proc/0` for a path.
 */
export function containerNamespaces(input: {
  readonly options: NamespaceOption | undefined;
  /** The pod's own options: a container may have others, or none. */
  readonly podOptions?: NamespaceOption | undefined;
  /** 0: the sandbox has no process. */
  readonly podPid: number;
  readonly given?: ReadonlyMap<OciNamespaceType, string> | undefined;
  readonly targetPid?: number | undefined;
  readonly userNamespace: boolean;
  readonly cgroup: CgroupView['namespace'];
  readonly base?: readonly OciNamespace[] | undefined;
}): OciNamespace[] {
  const { options, podOptions, targetPid, base = DEFAULT_NAMESPACES.map((type) => ({ type })) } = input;
  const ofPod = podNamespaces(input);
  const chosen: OciNamespace[] = [];
  const ofHost = new Set<OciNamespaceType>();
  const join = (type: JoinedType, ...modes: (NamespaceMode | undefined)[]): void => {
    const path = ofPod(type, modes);
    if (path === undefined) ofHost.add(type);
    else chosen.push({ type, path });
  };
  if (input.cgroup === 'private') chosen.push({ type: 'cgroup' });
  join('network', options?.network, podOptions?.network);
  join('ipc', options?.ipc, podOptions?.ipc);
  join('uts', options?.network, podOptions?.network);
  const own = ownPidNamespace(options?.pid ?? NamespaceMode.POD, targetPid);
  if (own) chosen.push(own);
  else join('pid', options?.pid, podOptions?.pid);
  if (input.userNamespace) join('user');
  if (input.cgroup === 'node') ofHost.add('cgroup');
  return merged(base, chosen).filter(({ type }) => !ofHost.has(type));
}

type JoinedType = keyof typeof PROC_NAMES;

/** The names of namespaces in /proc/PID/ns. */
const PROC_NAMES = { network: 'net', ipc: 'ipc', uts: 'uts', pid: 'pid', user: 'user' } as const;

/** Returns a function that finds the path of a pod's namespace; undefined is the host's. */
function podNamespaces({
  podPid,
  given,
}: Pick<Parameters<typeof containerNamespaces>[0], 'podPid' | 'given'>): (
  type: JoinedType,
  modes: readonly (NamespaceMode | undefined)[],
) => string | undefined {
  return (type, modes) => {
    const path = given?.get(type);
    if (path !== undefined) return path;
    if (podPid !== 0) return `/proc/${podPid}/ns/${PROC_NAMES[type]}`;
    if (modes.includes(NamespaceMode.NODE)) return undefined;
    const problem = `the pod sandbox has neither a process nor a ${type} namespace that the container could join`;
    throw new CriError('FAILED_PRECONDITION', problem);
  };
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

/** Returns undefined for the pod's pid namespace. */
function ownPidNamespace(mode: NamespaceMode, targetPid: number | undefined): OciNamespace | undefined {
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
      return undefined;
    default:
      throw invalidArgument('config.linux.security_context.namespace_options.pid', `unknown mode ${mode}`);
  }
}

function merged(base: readonly OciNamespace[], chosen: readonly OciNamespace[]): OciNamespace[] {
  const byType = new Map<OciNamespaceType, OciNamespace>();
  for (const namespace of [...base, ...chosen]) byType.set(namespace.type, namespace);
  return [...byType.values()];
}
