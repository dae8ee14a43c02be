/** Whether the stack's runtimes leave their cgroups to systemd, as on a node that runs it; else they make them themselves. */
export const SYSTEMD_CGROUPS = process.env['CRID_STACK_CGROUP_DRIVER'] === 'systemd';

/** A pod's `cgroup_parent` in the form that this driver takes: a folder below the root, or a slice below those of its name. */
export function cgroupParent(name: string): string {
  if (!SYSTEMD_CGROUPS) return `/${name}`;
  const parts = name.replaceAll('/', '-').split('-');
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join('-')}.slice`).join('');
}
