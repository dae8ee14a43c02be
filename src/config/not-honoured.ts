import { defaultConfig } from './defaults.js';
import type { Config } from './schema.js';
import { defaultTransferSettings, TRANSFER_TABLE, type TransferSettings } from './transfer-settings.js';

/**
 * Returns a warning with a reason for each of containerd's options that has no effect in crid and is not at its
 * default, and says what to set instead. These options do not prevent a start, because the node's own config.toml may
 * contain them. `transfer`: what containerd's transfer service has in that file.
 */
export function notHonoured(config: Config, transfer: TransferSettings = defaultTransferSettings()): string[] {
  const { images } = config;
  const usual = defaultConfig().images;
  const instead = `containerd pulls, set it in ${TRANSFER_TABLE} of its config.toml`;
  const differs = (value: number, default_: number, set: number): boolean => value !== default_ && value !== set;
  const options: [string, boolean, string][] = [
    ['images.use_local_image_pull', images.use_local_image_pull, 'crid pulls through the Transfer service'],
    [
      'images.discard_unpacked_layers',
      images.discard_unpacked_layers,
      "containerd's transfer service keeps the layers, and the kubelet's garbage collection removes them with the image",
    ],
    [
      'images.max_concurrent_downloads',
      differs(images.max_concurrent_downloads, usual.max_concurrent_downloads, transfer.maxConcurrentDownloads),
      instead,
    ],
    [
      'images.concurrent_layer_fetch_buffer',
      differs(
        images.concurrent_layer_fetch_buffer,
        usual.concurrent_layer_fetch_buffer,
        transfer.concurrentLayerFetchBuffer,
      ),
      instead,
    ],
    ['images.runtime_platforms', Object.keys(images.runtime_platforms).length > 0, "a handler's snapshotter decides"],
    [
      'runtime.enable_experimental_restore_via_create',
      config.runtime.enable_experimental_restore_via_create,
      'containerd 2.4 has removed it, and an image that holds a checkpoint is refused',
    ],
    ...Object.entries(config.runtime.containerd.runtimes).map(([name, { io_type }]): [string, boolean, string] => [
      `runtime.containerd.runtimes.${name}.io_type`,
      io_type === 'streaming',
      'streams go through FIFOs',
    ]),
  ];
  return options.filter(([, set]) => set).map(([name, , why]) => `${name} is set and has no effect: ${why}`);
}
