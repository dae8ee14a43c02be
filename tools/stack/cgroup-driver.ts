/**
 * Whether the stack's runtimes let systemd create their cgroups, as on a node with systemd. Otherwise they create them
 * directly.
 */
export const SYSTEMD_CGROUPS = process.env['CRID_STACK_CGROUP_DRIVER'] === 'systemd';

/** Returns a pod's `cgroup_parent` for this driver: a folder below the root, or a slice with its parent slices. */
export function cgroupParent(name: string): string {
  if (!SYSTEMD_CGROUPS) return `/${name}`;
  const parts = name.replaceAll('/', '-').split('-');
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join('-')}.slice`).join('');
}
