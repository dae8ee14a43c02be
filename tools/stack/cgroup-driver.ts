/** Whether the stack's runtimes leave their cgroups to systemd, as on a node that runs it; else they make them themselves. */
export const SYSTEMD_CGROUPS = process.env['CRID_STACK_CGROUP_DRIVER'] === 'systemd';

/** A pod's `cgroup_parent` in the form that this driver takes: a folder below the root, or a slice. */
export const cgroupParent = (name: string): string =>
  SYSTEMD_CGROUPS ? `/${name.replaceAll('/', '-')}.slice` : `/${name}`;
