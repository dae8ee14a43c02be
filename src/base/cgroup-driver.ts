/**
 * The creator of a container's cgroup: the runtime itself, below a directory, or systemd on its behalf, as a scope in a
 * slice.
 */
export type CgroupDriver = 'cgroupfs' | 'systemd';
