import { posix } from 'node:path';
import type { CgroupDriver } from '../base/cgroup-driver.js';
import { invalidArgument } from '../base/errors.js';

/** How scopes of CRI containers are called under systemd: `cri-containerd-ID.scope`. */
const SCOPE_PREFIX = 'cri-containerd';

const PARENT_FIELD = 'config.linux.cgroup_parent';

/**
 * A container's `linux.cgroupsPath`, always below the pod's cgroup parent (CVE-2025-47291): `PARENT/ID`, or for a
 * slice `BASE.slice:cri-containerd:ID`, which is how runtimes take systemd's. Without a parent: `/NAMESPACE/ID`, or in
 * `system.slice` under the systemd driver. INVALID_ARGUMENT for a parent that climbs.
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
 * INVALID_ARGUMENT for the cgroup parent of a new pod that does not suit the driver of its handler's runtime. runc
 * with the systemd driver takes slices alone. With cgroupfs it takes the name of a slice for a directory below its own
 * cgroup, where none of the limits apply that the kubelet has set on the slice.
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
  if (/[\u0000-\u001f\u007f:]/.test(parent)) throw invalidArgument(field, 'a colon or a control character');
  if (parent.split('/').includes('..')) throw invalidArgument(field, `"${parent}" climbs with ".."`);
}

/**
 * Where a container's cgroup lies below the root of its hierarchy (`/kubepods/pod1/ID`): a slice `a-b.slice` lies in
 * `a.slice` (systemd.slice(5)). "" when `path` is "": the runtime chose.
 */
export function cgroupDirectory(path: string): string {
  const [slice, prefix, name] = path.split(':');
  if (slice === undefined || prefix === undefined || name === undefined)
    return path === '' ? '' : posix.join('/', path);
  const unit = name.endsWith('.slice') ? name : `${prefix === '' ? '' : `${prefix}-`}${name}.scope`;
  return posix.join('/', ...sliceDirectories(slice === '' ? 'system.slice' : slice), unit);
}

/** `a.slice`, `a-b.slice` for `a-b.slice`; nothing for the root slice `-.slice`. */
function sliceDirectories(slice: string): string[] {
  const parts = slice.slice(0, -'.slice'.length).split('-').filter(Boolean);
  return parts.map((_, index) => `${parts.slice(0, index + 1).join('-')}.slice`);
}
