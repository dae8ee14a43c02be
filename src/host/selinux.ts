import { existsSync } from 'node:fs';

/** Whether SELinux is on, enforcing or permissive: its file system is mounted then. */
export const selinuxEnabled = (): boolean => existsSync('/sys/fs/selinux/enforce');
