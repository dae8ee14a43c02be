import type { ImportedFiles } from './imports.js';
import { get, isTree, type Path } from './tree.js';

/** The settings of containerd's transfer service that concern pulls. Only containerd itself applies them. */
export interface TransferSettings {
  /** The snapshotters and platforms that containerd unpacks images for; undefined for its default. */
  readonly unpackConfig: readonly { readonly snapshotter: string; readonly platform: string }[] | undefined;
  readonly maxConcurrentDownloads: number;
  readonly concurrentLayerFetchBuffer: number;
}

/** containerd's defaults (its plugins/transfer). */
export const defaultTransferSettings = (): TransferSettings => ({
  unpackConfig: undefined,
  maxConcurrentDownloads: 3,
  concurrentLayerFetchBuffer: 0,
});

/** The table of the transfer service, which has the same name in versions 2 to 4 of the file. */
export const TRANSFER_TABLE = 'plugins."io.containerd.transfer.v1.local"';
const PATH: Path = ['plugins', 'io.containerd.transfer.v1.local'];

/** Reads the table from containerd's files, of which later ones win. A value of a wrong type counts as not set. */
export function transferSettings(files: ImportedFiles['files']): TransferSettings {
  const defaults = defaultTransferSettings();
  const last = (key: string): unknown =>
    files.map(({ tree }) => get(tree, [...PATH, key])).findLast((value) => value !== undefined);
  const number = (key: string, otherwise: number): number => {
    const value = last(key);
    return typeof value === 'number' ? value : otherwise;
  };
  const unpacks = last('unpack_config');
  return {
    unpackConfig: Array.isArray(unpacks)
      ? unpacks.filter(isTree).map(({ snapshotter, platform }) => ({
          snapshotter: typeof snapshotter === 'string' ? snapshotter : '',
          platform: typeof platform === 'string' ? platform : '',
        }))
      : defaults.unpackConfig,
    maxConcurrentDownloads: number('max_concurrent_downloads', defaults.maxConcurrentDownloads),
    concurrentLayerFetchBuffer: number('concurrent_layer_fetch_buffer', defaults.concurrentLayerFetchBuffer),
  };
}
