import type { Move } from './layout.js';
import type { Path } from './tree.js';

/**
 * Where containerd's config.toml keeps the options that crid reads, by the file's version. Version 2 has all of CRI in
 * one table. Version 3 splits it. Version 4 (containerd 2.3) moves the server's address into a plugin as well.
 * containerd 2.3 still accepts version 2's CRI options in a file of version 3, with lower precedence, and crid does the
 * same.
 */

export const NEWEST_VERSION = 4;

const RUNTIME: Path = ['plugins', 'io.containerd.cri.v1.runtime'];
const IMAGES: Path = ['plugins', 'io.containerd.cri.v1.images'];
const CRI: Path = ['plugins', 'io.containerd.grpc.v1.cri'];
const TASKS: Path = ['plugins', 'io.containerd.service.v1.tasks-service'];
/** In `disabled_plugins`, it turns NRI off as the option `disable` of its table does. */
export const NRI_PLUGIN = 'io.containerd.nri.v1.nri';
const NRI: Path = ['plugins', NRI_PLUGIN];
const SERVER: Path = ['plugins', 'io.containerd.server.v1.grpc'];

/** Disabling any of these disables containerd's CRI. The last two are the parts of the first. */
export const CRI_PLUGINS = [
  'cri', // version 1's name
  'io.containerd.grpc.v1.cri',
  'io.containerd.cri.v1.runtime',
  'io.containerd.cri.v1.images',
];

const STREAMING_KEYS = [
  'stream_server_address',
  'stream_server_port',
  'stream_idle_timeout',
  'enable_tls_streaming',
  'x509_key_pair_streaming',
];

const IMAGE_KEYS = [
  'registry',
  'image_decryption',
  'max_concurrent_downloads',
  'image_pull_progress_timeout',
  'image_pull_with_sync_fs',
  'stats_collect_period',
];

const NRI_KEYS = [
  'disable',
  'socket_path',
  'plugin_path',
  'plugin_config_path',
  'plugin_registration_timeout',
  'plugin_request_timeout',
  'disable_connections',
];

const SNAPSHOT_KEYS = ['snapshotter', 'disable_snapshot_annotations', 'discard_unpacked_layers'];

const daemon: readonly Move[] = [
  { from: ['root'], to: ['root'], dropEmpty: true },
  { from: ['state'], to: ['state'], dropEmpty: true },
];

/** The table has the same name in versions 2 to 4. */
const tasks: Move = {
  from: [...TASKS, 'blockio_config_file'],
  to: ['runtime', 'blockio_config_file'],
  dropEmpty: true,
};
const address: Move = { from: ['grpc', 'address'], to: ['grpc', 'address'], dropEmpty: true };
const serverAddress: Move = { from: [...SERVER, 'address'], to: ['grpc', 'address'], dropEmpty: true };

const streaming: readonly Move[] = [
  ...STREAMING_KEYS.map((key) => ({ from: [...CRI, key], to: ['streaming', key] })),
  {
    from: [...CRI, 'disable_tcp_service'],
    warning: (value) => (value === false ? 'crid serves CRI on a unix socket only' : undefined),
  },
];

/** The table has the same name in versions 2 to 4. */
const nri: readonly Move[] = [
  ...NRI_KEYS.map((key) => ({ from: [...NRI, key], to: ['nri', key], dropEmpty: true })),
  { from: [...NRI, 'default_validator'], to: ['nri', 'default_validator'] },
];

/** Maps the old name of `bin_dirs` in the table at `runtime`. */
export const binDir = (runtime: Path): Move => ({
  from: [...runtime, 'cni', 'bin_dir'],
  to: ['runtime', 'cni', 'bin_dirs'],
  wrap: true,
  dropEmpty: true,
  warning: () => 'deprecated, use bin_dirs',
});

/** Maps version 2's table. `note` is a warning for each option found there. */
function versionTwo(note?: string): readonly Move[] {
  const warning = (): string | undefined => note;
  return [
    { from: [...CRI, 'sandbox_image'], to: ['images', 'pinned_images', 'sandbox'], dropEmpty: true, warning },
    ...IMAGE_KEYS.map((key) => ({ from: [...CRI, key], to: ['images', key], warning })),
    ...SNAPSHOT_KEYS.map((key) => ({ from: [...CRI, 'containerd', key], to: ['images', key], warning })),
    {
      from: [...CRI, 'containerd', 'runtimes', '*', 'sandbox_mode'],
      to: ['runtime', 'containerd', 'runtimes', '*', 'sandboxer'],
      warning,
    },
    { ...binDir(CRI), ...(note === undefined ? {} : { warning }) },
    {
      from: [...CRI, 'systemd_cgroup'],
      warning: (value) =>
        value === true ? 'containerd 2 ignores it, set SystemdCgroup in the options of a runtime' : undefined,
    },
    { from: CRI, to: ['runtime'], warning: (rest) => (note !== undefined && holdsAnything(rest) ? note : undefined) },
  ];
}

const versionThree: readonly Move[] = [
  binDir(RUNTIME),
  { from: RUNTIME, to: ['runtime'] },
  { from: IMAGES, to: ['images'] },
];

/** A file without a version, or of version 1: only the options that have the same name in every version. */
const ofDaemon: readonly Move[] = [...daemon, address];

/** Returns the moves for a file of `version`, or undefined for a version that crid does not know. */
export function movesOf(version: number): readonly Move[] | undefined {
  const misplaced = 'an option of version 2, which containerd ignores in this version before 2.3';
  switch (version) {
    case 1:
      return ofDaemon;
    case 2:
      return [...daemon, tasks, address, serverAddress, ...streaming, ...nri, ...versionTwo(), ...versionThree];
    case 3:
      return [
        ...daemon,
        tasks,
        address,
        serverAddress,
        ...streaming,
        ...nri,
        ...versionTwo(misplaced),
        ...versionThree,
      ];
    case 4:
      return [
        ...daemon,
        tasks,
        serverAddress,
        { from: address.from, warning: () => 'version 4 reads it from plugins."io.containerd.server.v1.grpc"' },
        ...streaming,
        ...nri,
        { from: CRI, to: ['streaming'] },
        ...versionThree,
      ];
    default:
      return undefined;
  }
}

const holdsAnything = (value: unknown): boolean =>
  typeof value !== 'object' || value === null || Object.values(value).some(holdsAnything);
