/** The options that a mount of the CRI may add (`Mount.mount_options`); the API server accepts the same. */
export const MOUNT_OPTIONS = ['noexec', 'nodev', 'nosuid'] as const;

export type MountOption = (typeof MOUNT_OPTIONS)[number];

export const isMountOption = (option: string): option is MountOption =>
  (MOUNT_OPTIONS as readonly string[]).includes(option);
