import { posix } from 'node:path';
import { invalidArgument } from '../base/errors.js';

/** How scopes of CRI containers are called under systemd: `cri-containerd-ID.scope`. */
const SCOPE_PREFIX = 'cri-containerd';

/**
 * A container's `linux.cgroupsPath`, always below the pod's cgroup parent (CVE-2025-47291): `PARENT/ID`, or for a
 * slice `BASE.slice:cri-containerd:ID`, which is how runtimes take systemd's. Without a parent: `/NAMESPACE/ID`, or in
 * `system.slice` under the systemd driver. INVALID_ARGUMENT for a parent that climbs, or is no slice under systemd.
 */
export function cgroupsPath(
  parent: string,
  id: string,
  driver: { readonly systemdCgroup: boolean; readonly namespace: string },
): string {
  const field = 'config.linux.cgroup_parent';
  if (parent === '') {
    return driver.systemdCgroup ? `system.slice:${SCOPE_PREFIX}:${id}` : `/${driver.namespace}/${id}`;
  }
  checkCgroupParent(parent, field);
  const base = posix.basename(parent);
  if (base.endsWith('.slice')) return `${base}:${SCOPE_PREFIX}:${id}`;
  if (driver.systemdCgroup) {
    throw invalidArgument(field, `"${parent}" must end in .slice, since the handler uses the systemd cgroup driver`);
  }
  return posix.join(parent, id);
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
