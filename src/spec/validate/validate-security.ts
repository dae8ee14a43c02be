import {
  NamespaceMode,
  SupplementalGroupsPolicy,
  type Int64Value,
  type LinuxContainerSecurityContext,
  type LinuxSandboxSecurityContext,
  type NamespaceOption,
  type SELinuxOption,
} from '../../../generated/runtime/v1/api.js';
import { invalidArgument } from '../../base/errors.js';
import { checkCgroupView } from '../cgroup-view.js';
import { chooseProfile, chooseSeccompProfile } from '../security/security-profile.js';
import { checkAbsolutePath, checkEnum, checkNoControl, checkRange } from './text-checks.js';
import { MAX_ID } from '../user/user.js';
import { userNamespaceMappings } from '../user/user-namespace.js';

/** INVALID_ARGUMENT for an invalid security context of a pod. */
export function checkSandboxSecurityContext(context: LinuxSandboxSecurityContext | undefined, field: string): void {
  if (context === undefined) return;
  checkIdentity(context, false, field);
  checkNamespaces(context.namespace_options, false, `${field}.namespace_options`);
  checkSelinuxOptions(context.selinux_options, `${field}.selinux_options`);
  checkSeccomp(context, field);
  chooseProfile(context.apparmor, '', '', `${field}.apparmor`);
}

/** INVALID_ARGUMENT for an invalid security context of a container. */
export function checkContainerSecurityContext(context: LinuxContainerSecurityContext | undefined, field: string): void {
  if (context === undefined) return;
  const username = context.run_as_username;
  checkNoControl(username, `${field}.run_as_username`);
  if (username.includes(':')) throw invalidArgument(`${field}.run_as_username`, `"${username}" contains ":"`);
  checkIdentity(context, username !== '', field);
  checkNamespaces(context.namespace_options, true, `${field}.namespace_options`);
  checkCgroupView(context, field);
  checkSelinuxOptions(context.selinux_options, `${field}.selinux_options`);
  checkSeccomp(context, field);
  chooseProfile(context.apparmor, context.apparmor_profile, '', `${field}.apparmor`);
  for (const list of ['masked_paths', 'readonly_paths'] as const) {
    for (const [index, path] of context[list].entries()) checkAbsolutePath(path, `${field}.${list}[${index}]`);
  }
}

interface Identity {
  readonly run_as_user: Int64Value | undefined;
  readonly run_as_group: Int64Value | undefined;
  readonly supplemental_groups: readonly bigint[];
  readonly supplemental_groups_policy: SupplementalGroupsPolicy;
}

function checkIdentity(identity: Identity, named: boolean, field: string): void {
  const { run_as_user: user, run_as_group: group } = identity;
  if (user) checkRange(user.value, 0, MAX_ID, `${field}.run_as_user`);
  if (group) checkRange(group.value, 0, MAX_ID, `${field}.run_as_group`);
  if (group && !user && !named) throw invalidArgument(`${field}.run_as_group`, 'is given without a user');
  for (const [index, gid] of identity.supplemental_groups.entries()) {
    checkRange(gid, 0, MAX_ID, `${field}.supplemental_groups[${index}]`);
  }
  checkEnum(identity.supplemental_groups_policy, SupplementalGroupsPolicy, `${field}.supplemental_groups_policy`);
}

function checkNamespaces(options: NamespaceOption | undefined, ofContainer: boolean, field: string): void {
  if (options === undefined) return;
  for (const kind of ['network', 'pid', 'ipc'] as const) checkEnum(options[kind], NamespaceMode, `${field}.${kind}`);
  for (const kind of ['network', 'ipc'] as const) {
    if (options[kind] === NamespaceMode.TARGET) throw invalidArgument(`${field}.${kind}`, 'TARGET is for pid only');
  }
  if (options.pid === NamespaceMode.TARGET) {
    if (!ofContainer) throw invalidArgument(`${field}.pid`, 'TARGET is for containers only');
    if (options.target_id === '') throw invalidArgument(`${field}.target_id`, 'must be given with TARGET');
  }
  if (options.cgroupns_options !== undefined && !ofContainer) {
    throw invalidArgument(`${field}.cgroupns_options`, 'is for containers only');
  }
  userNamespaceMappings(options.userns_options, `${field}.userns_options`);
}

function checkSeccomp(
  context: Pick<LinuxContainerSecurityContext, 'seccomp' | 'seccomp_profile_path'>,
  field: string,
): void {
  const choice = chooseSeccompProfile(context.seccomp, context.seccomp_profile_path, '', `${field}.seccomp`);
  if (choice?.kind === 'localhost') checkAbsolutePath(choice.ref, `${field}.seccomp.localhost_ref`);
  if (choice?.kind === 'pulled' && choice.base.kind === 'localhost') {
    checkAbsolutePath(choice.base.ref, `${field}.seccomp.base_profile.localhost_ref`);
  }
}

/** INVALID_ARGUMENT for a colon or a control character in user, role or type, and for a malformed level. */
export function checkSelinuxOptions(options: SELinuxOption | undefined, field: string): void {
  if (options === undefined) return;
  for (const part of ['user', 'role', 'type'] as const) {
    checkNoControl(options[part], `${field}.${part}`);
    if (options[part].includes(':')) throw invalidArgument(`${field}.${part}`, 'contains ":"');
  }
  if (!LEVEL.test(options.level))
    throw invalidArgument(`${field}.level`, `"${options.level}" is not a level such as s0:c1,c2`);
}

const LEVEL = /^(s\d(-s\d)?(:c\d{1,4}(\.c\d{1,4})?(,c\d{1,4}(\.c\d{1,4})?)*)?)?$/;
