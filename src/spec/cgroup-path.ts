import { posix } from 'node:path';
import type { CgroupDriver } from '../base/cgroup-driver.js';
import { invalidArgument } from '../base/errors.js';

/** The prefix of the systemd scopes of CRI containers: `cri-containerd-ID.scope`. */
const SCOPE_PREFIX = 'cri-containerd';

const PARENT_FIELD = 'config.linux.cgroup_parent';

/**
 * Returns a container's `linux.cgroupsPath`, always below the pod's cgroup parent (CVE-2025-47291): `PARENT/ID`, or
 * `BASE.slice:cri-containerd:ID` for a slice, the form that runtimes expect for systemd. Without a parent it is
 * `/NAMESPACE/ID`, or in `system.slice` with the systemd driver. INVALID_ARGUMENT for a parent with `..`, a colon or a
 * control character.
 */
export function cgroupsPath(
  parent: string,
  id: string,
  { driver, namespace }: { readonly driver: CgroupDriver | undefined; readonly namespace: string },
): string {
  if (parent === '') return driver === 'systemd' ? `system.slice:${SCOPE_PREFIX}:${id}` : `/${namespace}/${id}`;
  checkCgroupParent(parent, PARENT_FIELD);
  return isSlice(parent) ? `${posix.basename(parent)}:${SCOPE_PREFIX}:${id}` : posix.join(parent, id);
}

const isSlice = (parent: string): boolean => posix.basename(parent).endsWith('.slice');

/**
 * INVALID_ARGUMENT if the cgroup parent of a new pod does not match the cgroup driver of its handler's runtime. runc
 * with the systemd driver accepts only slices. With cgroupfs, runc treats the name of a slice as a directory below its
 * own cgroup, where the limits that the kubelet set on the slice do not apply.
 */
export function checkCgroupDriver(parent: string, handler: string, driver: CgroupDriver | undefined): void {
  if (parent === '' || driver === undefined || isSlice(parent) === (driver === 'systemd')) return;
  const uses = `the runtime handler "${handler}" uses the ${driver} cgroup driver`;
  throw invalidArgument(
    PARENT_FIELD,
    driver === 'systemd'
      ? `"${parent}" does not end in .slice, and ${uses}`
      : `"${parent}" is a slice of systemd's, and ${uses} (SystemdCgroup is not set in its options)`,
  );
}

/** INVALID_ARGUMENT for a cgroup parent with `..`, a colon or a control character. */
export function checkCgroupParent(parent: string, field: string): void {
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f:]/.test(parent)) throw invalidArgument(field, 'contains ":" or a control character');
  if (parent.split('/').includes('..')) throw invalidArgument(field, `"${parent}" contains ".."`);
}

/**
 * Returns the directory of a container's cgroup, relative to the root of its hierarchy (`/kubepods/pod1/ID`). A slice
 * `a-b.slice` is in `a.slice` (systemd.slice(5)). Returns "" when `path` is "": the runtime chose the cgroup.
 */
export function cgroupDirectory(path: string): string {
  const [slice, prefix, name] = path.split(':');
  if (slice === undefined || prefix === undefined || name === undefined)
    return path === '' ? '' : posix.join('/', path);
  const unit = name.endsWith('.slice') ? name : `${prefix === '' ? '' : `${prefix}-`}${name}.scope`;
  return posix.join('/', ...sliceDirectories(slice === '' ? 'system.slice' : slice), unit);
}

/** Returns `a.slice` and `a-b.slice` for `a-b.slice`, and an empty list for the root slice `-.slice`. */
function sliceDirectories(slice: string): string[] {
  const parts = slice.slice(0, -'.slice'.length).split('-').filter(Boolean);
  return parts.map((_, index) => `${parts.slice(0, index + 1).join('-')}.slice`);
}
