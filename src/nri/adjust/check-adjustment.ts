import {
  IOPrioClass,
  LinuxSchedulerFlag,
  LinuxSchedulerPolicy,
  MpolFlag,
  MpolMode,
  type ContainerAdjustment,
  type Hooks,
  type LinuxContainerAdjustment,
  type LinuxDevice,
  type LinuxDeviceCgroup,
  type LinuxRdt,
  type LinuxScheduler,
  type LinuxSeccomp,
  type Mount,
  type POSIXRlimit,
} from '../../../generated/nri/v1alpha1/api.js';
import type { NamespaceOption } from '../../../generated/runtime/v1/api.js';
import { invalidArgument } from '../../base/errors.js';
import { checkCgroupParent } from '../../spec/cgroup-path.js';
import { COMPARISONS } from '../../spec/security/seccomp-values.js';
import { checkSysctls } from '../../spec/sysctls.js';
import type { SpecHandlerOptions } from '../../spec/types.js';
import { checkEnvs } from '../../spec/validate/validate-env.js';
import {
  checkAbsolutePath,
  checkAnnotations,
  checkEnum,
  checkNoNul,
  checkRange,
} from '../../spec/validate/text-checks.js';
import { isBind, RELABEL } from './apply-mounts.js';
import { checkNriResources, checkRdtSupport, type ResourceFacts } from './check-resources.js';
import { markedKey } from './removal.js';

/** The facts of the runtime, the node and the pod on which it depends whether an adjustment can be applied. */
export interface AdjustFacts extends ResourceFacts {
  readonly handler: Pick<SpecHandlerOptions, 'cgroupDriver' | 'runtimeFeatures'>;
  readonly podNamespaces: NamespaceOption | undefined;
}

/**
 * INVALID_ARGUMENT names a field of a plugin's adjustment that crid, the runtime or this node cannot apply, or that
 * breaks a bound which holds for the CRI's own requests too.
 */
export function checkAdjustment(adjust: ContainerAdjustment, facts: AdjustFacts): void {
  checkNoNul(adjust, 'adjust');
  checkAdjustedAnnotations(adjust.annotations);
  for (const [index, mount] of adjust.mounts.entries()) checkMount(mount, `adjust.mounts[${index}]`);
  const set = adjust.env.filter(({ key }) => !markedKey(key).removed);
  checkEnvs(
    set.map(({ key, value }) => ({ key, value: Buffer.from(value) })),
    'adjust.env',
  );
  if (adjust.args.length === 1 && adjust.args[0] === '') throw invalidArgument('adjust.args', 'has no program');
  if (adjust.hooks) checkHooks(adjust.hooks);
  for (const [index, limit] of adjust.rlimits.entries()) checkRlimit(limit, `adjust.rlimits[${index}]`);
  if (adjust.linux) checkLinux(adjust.linux, facts);
}

/** Annotations by which the shim groups the tasks of a pod, and the CRI server tells containers from pods. */
const RESERVED = ['io.kubernetes.cri.sandbox-id', 'io.kubernetes.cri.container-type', 'io.containerd.runc.v2.group'];

function checkAdjustedAnnotations(annotations: Readonly<Record<string, string>>): void {
  checkAnnotations(annotations, 'adjust.annotations');
  for (const text of Object.keys(annotations)) {
    const { key } = markedKey(text);
    if (RESERVED.includes(key)) throw invalidArgument(`adjust.annotations[${JSON.stringify(key)}]`, 'is reserved');
  }
}

function checkMount(mount: Mount, field: string): void {
  const { destination, options } = mount;
  const { key, removed } = markedKey(destination);
  checkAbsolutePath(key, `${field}.destination`);
  if (!removed && options.includes(RELABEL) && !isBind(mount))
    throw invalidArgument(`${field}.options`, `"${RELABEL}" is for bind mounts`);
}

function checkHooks(hooks: Hooks): void {
  for (const [name, list] of Object.entries(hooks)) {
    for (const [index, { path, timeout }] of (list as Hooks['prestart']).entries()) {
      checkAbsolutePath(path, `adjust.hooks.${name}[${index}].path`);
      // The OCI spec: a timeout must be greater than zero.
      if (timeout) checkRange(timeout.value, 1, 2 ** 31 - 1, `adjust.hooks.${name}[${index}].timeout`);
    }
  }
}

/** The limits that runc knows (libcontainer/specconv, getrlimit(2)). */
const RLIMIT =
  /^RLIMIT_(AS|CORE|CPU|DATA|FSIZE|LOCKS|MEMLOCK|MSGQUEUE|NICE|NOFILE|NPROC|RSS|RTPRIO|RTTIME|SIGPENDING|STACK)$/;

function checkRlimit({ type, hard, soft }: POSIXRlimit, field: string): void {
  if (!RLIMIT.test(type)) throw invalidArgument(`${field}.type`, `unknown limit "${type}"`);
  if (soft > hard) throw invalidArgument(`${field}.soft`, `${soft} is more than hard ${hard}`);
}

function checkLinux(linux: LinuxContainerAdjustment, facts: AdjustFacts): void {
  const { runtimeFeatures, cgroupDriver } = facts.handler;
  for (const [index, device] of linux.devices.entries()) checkDevice(device, `adjust.linux.devices[${index}]`);
  if (linux.resources) {
    checkNriResources(linux.resources, 'adjust.linux.resources', facts);
    for (const [index, rule] of linux.resources.devices.entries())
      checkRule(rule, `adjust.linux.resources.devices[${index}]`);
  }
  checkCgroupsPath(linux.cgroups_path, cgroupDriver);
  if (linux.oom_score_adj) checkRange(linux.oom_score_adj.value, -1000, 1000, 'adjust.linux.oom_score_adj');
  if (linux.io_priority) {
    checkEnum(linux.io_priority.class, IOPrioClass, 'adjust.linux.io_priority.class');
    checkRange(linux.io_priority.priority, 0, 7, 'adjust.linux.io_priority.priority');
  }
  if (linux.seccomp_policy) checkSeccomp(linux.seccomp_policy);
  for (const [index, { type }] of linux.namespaces.entries()) checkNamespace(type, index);
  const sysctls = Object.entries(linux.sysctl).filter(([key]) => !markedKey(key).removed);
  checkSysctls(Object.fromEntries(sysctls), facts.podNamespaces, 'adjust.linux.sysctl');
  if (Object.keys(linux.net_devices).length > 0) needs(runtimeFeatures.netDevices, 'net_devices');
  if (linux.scheduler) checkScheduler(linux.scheduler);
  if (linux.rdt) checkRdt(linux.rdt, facts);
  if (linux.memory_policy) {
    const { mode, flags } = linux.memory_policy;
    checkEnum(mode, MpolMode, 'adjust.linux.memory_policy.mode');
    needs(runtimeFeatures.memoryPolicy.modes.includes(MpolMode[mode]), `memory_policy.mode ${MpolMode[mode]}`);
    for (const flag of flags) {
      checkEnum(flag, MpolFlag, 'adjust.linux.memory_policy.flags');
      needs(runtimeFeatures.memoryPolicy.flags.includes(MpolFlag[flag]), `memory_policy.flags ${MpolFlag[flag]}`);
    }
  }
}

/** A runtime that does not know a member of the spec ignores it. */
function needs(supported: boolean, field: string): void {
  if (!supported) throw invalidArgument(`adjust.linux.${field}`, 'the OCI runtime does not support it');
}

function checkDevice({ path, type, major, minor, file_mode }: LinuxDevice, field: string): void {
  const { key, removed } = markedKey(path);
  checkAbsolutePath(key, `${field}.path`);
  if (removed) return;
  if (!['b', 'c', 'u', 'p'].includes(type)) throw invalidArgument(`${field}.type`, `unknown type "${type}"`);
  checkRange(major, 0, 0xfff, `${field}.major`);
  checkRange(minor, 0, 0xfffff, `${field}.minor`);
  if (file_mode) checkRange(file_mode.value & 0o7777, 0, 0o7777, `${field}.file_mode`);
}

function checkRule({ type, access }: LinuxDeviceCgroup, field: string): void {
  if (!['', 'a', 'b', 'c'].includes(type)) throw invalidArgument(`${field}.type`, `unknown type "${type}"`);
  if (!/^[rwm]*$/.test(access))
    throw invalidArgument(`${field}.access`, `expected some of "rwm", received "${access}"`);
}

/** The two forms of the OCI spec (config-linux.md, "Cgroups Path"); runc takes only the one of its driver. */
function checkCgroupsPath(path: string, driver: SpecHandlerOptions['cgroupDriver']): void {
  const field = 'adjust.linux.cgroups_path';
  if (path === '') return;
  const parts = path.split(':');
  const isScope = parts.length === 3 && parts[2] !== '' && (parts[0] === '' || parts[0]?.endsWith('.slice') === true);
  if (isScope && driver !== 'cgroupfs') return checkCgroupParent(parts.join('/'), field);
  if (driver === 'systemd') throw invalidArgument(field, `expected SLICE:PREFIX:NAME, received "${path}"`);
  checkAbsolutePath(path, field);
  checkCgroupParent(path, field);
}

/** The same fields, actions and comparisons that runc knows. */
function checkSeccomp({ default_action, syscalls }: LinuxSeccomp): void {
  const field = 'adjust.linux.seccomp_policy';
  if (!ACTION.test(default_action)) throw invalidArgument(`${field}.default_action`, `unknown "${default_action}"`);
  for (const [index, { names, action, args }] of syscalls.entries()) {
    const where = `${field}.syscalls[${index}]`;
    if (names.length === 0) throw invalidArgument(`${where}.names`, 'must not be empty');
    if (!ACTION.test(action)) throw invalidArgument(`${where}.action`, `unknown "${action}"`);
    for (const { index: argument, op } of args) {
      checkRange(argument, 0, 5, `${where}.args.index`);
      if (!COMPARISONS.includes(op)) throw invalidArgument(`${where}.args.op`, `unknown "${op}"`);
    }
  }
}

const ACTION = /^SCMP_ACT_(ALLOW|ERRNO|KILL|KILL_PROCESS|KILL_THREAD|LOG|NOTIFY|TRACE|TRAP)$/;

const NAMESPACES = ['pid', 'ipc', 'uts', 'mount', 'network', 'cgroup', 'user', 'time'];

function checkNamespace(type: string, index: number): void {
  if (!NAMESPACES.includes(markedKey(type).key))
    throw invalidArgument(`adjust.linux.namespaces[${index}].type`, `unknown namespace "${type}"`);
}

function checkScheduler({ policy, flags, nice }: LinuxScheduler): void {
  checkEnum(policy, LinuxSchedulerPolicy, 'adjust.linux.scheduler.policy');
  for (const flag of flags) checkEnum(flag, LinuxSchedulerFlag, 'adjust.linux.scheduler.flags');
  checkRange(nice, -20, 19, 'adjust.linux.scheduler.nice');
}

function checkRdt({ clos_id, schemata, enable_monitoring }: LinuxRdt, facts: AdjustFacts): void {
  const field = 'adjust.linux.rdt';
  if (clos_id) {
    checkRdtSupport(`${field}.clos_id`, facts);
    if (/[\n/]/.test(clos_id.value) || ['.', '..'].includes(clos_id.value))
      throw invalidArgument(`${field}.clos_id`, `"${clos_id.value}" is not the name of a group`);
  }
  if (schemata) checkRdtSupport(`${field}.schemata`, facts, 'schemata');
  if (enable_monitoring?.value) checkRdtSupport(`${field}.enable_monitoring`, facts, 'monitoring');
}
