import { defaultConfig } from './defaults.js';
import type { Config } from './schema.js';

/**
 * Returns a warning with a reason for each of containerd's options that has no effect in crid and is not at its
 * default. These options do not prevent a start, because the node's own config.toml may contain them.
 */
export function notHonoured(config: Config): string[] {
  const { images } = config;
  const usual = defaultConfig().images;
  const transfer = "containerd's Transfer service has no such setting";
  const options: [string, boolean, string][] = [
    ['images.use_local_image_pull', images.use_local_image_pull, 'crid pulls through the Transfer service'],
    ['images.discard_unpacked_layers', images.discard_unpacked_layers, transfer],
    ['images.max_concurrent_downloads', images.max_concurrent_downloads !== usual.max_concurrent_downloads, transfer],
    [
      'images.concurrent_layer_fetch_buffer',
      images.concurrent_layer_fetch_buffer !== usual.concurrent_layer_fetch_buffer,
      transfer,
    ],
    ['images.image_pull_with_sync_fs', images.image_pull_with_sync_fs, transfer],
    ['images.registry.mirrors', Object.keys(images.registry.mirrors).length > 0, 'use registry.config_path'],
    ['images.runtime_platforms', Object.keys(images.runtime_platforms).length > 0, "a handler's snapshotter decides"],
    ...Object.entries(config.runtime.containerd.runtimes).map(([name, { io_type }]): [string, boolean, string] => [
      `runtime.containerd.runtimes.${name}.io_type`,
      io_type === 'streaming',
      'streams go through FIFOs',
    ]),
  ];
  return options.filter(([, set]) => set).map(([name, , why]) => `${name} is set and has no effect: ${why}`);
}
