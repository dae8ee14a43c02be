import {
  SupplementalGroupsPolicy,
  type Int64Value,
  type LinuxContainerSecurityContext,
} from '../../../generated/runtime/v1/api.js';
import { CriError, invalidArgument } from '../../base/errors.js';
import type { ResolvedUser } from '../types.js';
import { MAX_GROUPS, scanGroup, scanPasswd, type GroupFindings, type PasswdEntry, type Scan } from './accounts.js';

export interface UserRequest {
  /** CRI run_as_username; "" when it is not given. */
  readonly username: string;
  /** CRI run_as_user and run_as_group; undefined when they are not given, which is not the same as 0. */
  readonly uid: bigint | undefined;
  readonly gid: bigint | undefined;
  /** USER of the image; "" when there is none. */
  readonly imageUser: string;
  /** The contents of the rootfs's /etc/passwd and /etc/group; undefined when they are missing. */
  readonly passwd: string | undefined;
  readonly group: string | undefined;
  readonly supplementalGroups: readonly bigint[];
  readonly policy: SupplementalGroupsPolicy;
}

/** The largest id that runc accepts. Larger ids would wrap to negative ones, and some to root (CVE-2024-40635). */
export const MAX_ID = 2 ** 31 - 1;

/** Resolves the user of a container's process from the files of its rootfs, while they are read. */
export interface UserLookup {
  /** Takes the next chunk of /etc/passwd. Returns false once the rest is not needed. */
  takePasswd(bytes: Uint8Array): boolean;
  /** The same for /etc/group, which must come after all of /etc/passwd. */
  takeGroup(bytes: Uint8Array): boolean;
  /** Returns the user. A file without any chunk counts as missing. Throws the same errors as `resolveUser`. */
  result(): ResolvedUser;
}

/**
 * Returns the user of a container's process. The user is the request's name, else its uid, else the image's USER
 * (`user`, `uid`, `user:group`, `uid:gid` and mixtures), else root. A uid without a group gets the group of its passwd
 * entry, else 0. Merge adds the groups of /etc/group that list the user; Strict does not. INVALID_ARGUMENT for an id
 * out of range and for a group without a user; NOT_FOUND for a name that the rootfs does not have; RESOURCE_EXHAUSTED
 * for more groups than a process can have.
 */
export function resolveUser({ passwd, group, ...request }: UserRequest): ResolvedUser {
  const lookup = startUserLookup(request);
  const encoder = new TextEncoder();
  if (passwd !== undefined) lookup.takePasswd(encoder.encode(passwd));
  if (group !== undefined) lookup.takeGroup(encoder.encode(group));
  return lookup.result();
}

/** `resolveUser` for files of any size. INVALID_ARGUMENT for a request that is invalid regardless of the files. */
export function startUserLookup(request: Omit<UserRequest, 'passwd' | 'group'>): UserLookup {
  const chosen = chooseUser(request);
  const id = toId(chosen.user, chosen.userField);
  const passwd = scanPasswd(id === undefined ? { name: chosen.user } : { uid: id });
  let entry: PasswdEntry | undefined;
  let group: Scan<GroupFindings> | undefined;
  const groupScan = (): Scan<GroupFindings> => {
    if (group !== undefined) return group;
    entry = passwd.end();
    const isMerged = request.policy !== SupplementalGroupsPolicy.Strict;
    return (group = scanGroup({ name: chosen.group, member: isMerged ? (entry?.name ?? chosen.user) : undefined }));
  };
  return {
    takePasswd: (bytes) => passwd.take(bytes),
    takeGroup: (bytes) => groupScan().take(bytes),
    result() {
      const found = groupScan().end();
      if (id === undefined && entry === undefined) throw unknown('user', chosen.user, chosen.userField, '/etc/passwd');
      const uid = inRange(id ?? entry!.uid, chosen.userField);
      const gid =
        chosen.group === undefined
          ? inRange(entry?.gid ?? 0, chosen.userField)
          : groupId(chosen, chosen.group, found.gid);
      const additionalGids = mergedGids(gid, found.memberOf, request.supplementalGroups);
      if (additionalGids.length > MAX_GROUPS) throw tooManyGroups(chosen.user);
      return { uid, gid, additionalGids, username: '' };
    },
  };
}

/** Whether `resolveUser` needs /etc/passwd or /etc/group: always, except for Strict with numeric user and group. */
export function needsUserLookup(request: Omit<UserRequest, 'passwd' | 'group'>): boolean {
  const chosen = chooseUser(request);
  const named = toId(chosen.user, chosen.userField) === undefined;
  const groupNamed = chosen.group !== undefined && toId(chosen.group, chosen.groupField) === undefined;
  return named || groupNamed || chosen.group === undefined || request.policy !== SupplementalGroupsPolicy.Strict;
}

/** Returns the part of a request that a container's security context and image give. */
export function userRequest(
  context: LinuxContainerSecurityContext | undefined,
  imageUser: string,
): Omit<UserRequest, 'passwd' | 'group'> {
  const valueOf = (value: Int64Value | undefined): bigint | undefined => value?.value;
  return {
    username: context?.run_as_username ?? '',
    uid: valueOf(context?.run_as_user),
    gid: valueOf(context?.run_as_group),
    imageUser,
    supplementalGroups: context?.supplemental_groups ?? [],
    policy: context?.supplemental_groups_policy ?? SupplementalGroupsPolicy.Merge,
  };
}

const CONTEXT = 'config.linux.security_context';

interface ChosenUser {
  readonly user: string;
  readonly userField: string;
  readonly group: string | undefined;
  readonly groupField: string;
}

function chooseUser({ username, uid, gid, imageUser }: Omit<UserRequest, 'passwd' | 'group'>): ChosenUser {
  const group = gid?.toString();
  const groupField = `${CONTEXT}.run_as_group`;
  if (username !== '') return { user: username, userField: `${CONTEXT}.run_as_username`, group, groupField };
  if (uid !== undefined) return { user: uid.toString(), userField: `${CONTEXT}.run_as_user`, group, groupField };
  if (group !== undefined) throw invalidArgument(groupField, `group ${group} is given without a user`);
  const field = `USER "${imageUser}" of the image`;
  const [name = '', groupName, ...more] = imageUser.split(':');
  if (more.length > 0) throw invalidArgument(field, 'contains more than one ":"');
  // An empty part in `:group` or `user:` means root, as in containerd.
  const half = (text: string): string => (text === '' ? '0' : text);
  return {
    user: half(name),
    userField: field,
    group: groupName === undefined ? undefined : half(groupName),
    groupField: field,
  };
}

function groupId(chosen: ChosenUser, group: string, found: number | undefined): number {
  const id = toId(group, chosen.groupField);
  if (id !== undefined) return id;
  if (found === undefined) throw unknown('group', group, chosen.groupField, '/etc/group');
  return inRange(found, chosen.groupField);
}

/** Parses a numeric id and checks its range; undefined for a name. */
function toId(text: string, field: string): number | undefined {
  if (!/^[+-]?\d+$/.test(text)) return undefined;
  return inRange(Number(text), field);
}

function inRange(id: number, field: string): number {
  if (id < 0 || id > MAX_ID) throw invalidArgument(field, `id ${id} is not in 0 to ${MAX_ID}`);
  return id;
}

const unknown = (kind: string, name: string, field: string, file: string): CriError =>
  new CriError('NOT_FOUND', `${field}: ${kind} "${name}" is not in the image's ${file}`);

const tooManyGroups = (user: string): CriError =>
  new CriError('RESOURCE_EXHAUSTED', `user "${user}" is in more than the ${MAX_GROUPS} groups that a process can have`);

/** Puts the primary gid first, so that a process cannot lose it by dropping a supplementary group (CVE-2023-25173). */
function mergedGids(primary: number, listed: readonly number[], requested: readonly bigint[]): number[] {
  const field = `${CONTEXT}.supplemental_groups`;
  const others = [...listed, ...requested.map(Number)].map((gid) => inRange(gid, field));
  const sorted = [...new Set(others)].filter((gid) => gid !== primary).sort((a, b) => a - b);
  return [primary, ...sorted];
}
