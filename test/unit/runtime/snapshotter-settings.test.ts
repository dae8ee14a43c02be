import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultConfig } from '../../../src/config/defaults.js';
import { defaultTransferSettings, transferSettings } from '../../../src/config/transfer-settings.js';
import { hostPlatform } from '../../../src/containerd/platform.js';
import type { Containerd, PluginInfo } from '../../../src/containerd/containerd.js';
import { snapshotterWarnings } from '../../../src/runtime/snapshotter-settings.js';

const platform = `linux/${hostPlatform().architecture}`;

const plugin = (id: string, exports: Record<string, string> = {}, initError = ''): PluginInfo => ({
  ...{ type: 'io.containerd.snapshotter.v1', id, exports, capabilities: [], initError, initCode: 0 },
});

/** Returns the beginning of each warning. */
async function warned(options: {
  snapshotter: string;
  plugin: PluginInfo;
  unpacks?: { snapshotter: string; platform: string }[];
  annotations?: boolean;
  version?: string;
}): Promise<string[]> {
  const config = defaultConfig();
  config.images.snapshotter = options.snapshotter;
  config.images.disable_snapshot_annotations = !options.annotations;
  const transfer = { ...defaultTransferSettings(), unpackConfig: options.unpacks };
  const introspection = {
    plugins: () => Promise.resolve([options.plugin]),
    version: () => Promise.resolve({ version: options.version ?? 'v2.3.7', revision: '' }),
  } as unknown as Containerd['introspection'];
  const found = await snapshotterWarnings(config, transfer, { introspection });
  return found.map(({ snapshotter, message }) => `${snapshotter}: ${message.split(' ')[0]}`);
}

test("a snapshotter that containerd's transfer service does not unpack for is named", async () => {
  const native = { snapshotter: 'native', plugin: plugin('native') };
  const other = platform === 'linux/amd64' ? 'linux/arm64' : 'linux/amd64';
  const named = ['native: unpack_config'];
  assert.deepEqual(
    [
      await warned(native),
      await warned({ ...native, unpacks: [] }),
      await warned({ ...native, unpacks: [{ snapshotter: 'native', platform: other }] }),
      await warned({ ...native, unpacks: [{ snapshotter: 'overlayfs', platform }] }),
      await warned({ snapshotter: 'overlayfs', plugin: plugin('overlayfs'), unpacks: [] }),
      await warned({ ...native, unpacks: [{ snapshotter: 'native', platform }] }),
      await warned({ ...native, unpacks: [{ snapshotter: 'native', platform: `linux(+x)/${platform.slice(6)}/v8` }] }),
      await warned({ snapshotter: 'overlayfs', plugin: plugin('overlayfs') }),
      await warned({ ...native, plugin: plugin('native', {}, 'skipped') }),
    ],
    [named, named, named, named, ['overlayfs: unpack_config'], [], [], [], []],
  );
});

test('containerd unpacks for erofs by default from 2.3 on', async () => {
  const erofs = (version: string): Promise<string[]> =>
    warned({ snapshotter: 'erofs', plugin: plugin('erofs'), version });
  const named = ['erofs: unpack_config'];
  assert.deepEqual(await Promise.all(['v2.1.9', '2.2.9~ds1', 'v2.3.0-rc.1', 'v2.10.0', '3.0.0'].map(erofs)), [
    named,
    named,
    [],
    [],
    [],
  ]);
});

test('a lazy snapshotter that containerd does not tell the image is named', async () => {
  const lazy = (id: string, exports = {}, annotations = false) =>
    warned({ snapshotter: id, plugin: plugin(id, exports), unpacks: [{ snapshotter: id, platform }], annotations });
  assert.deepEqual(
    [
      await lazy('stargz', { address: '/run/stargz.sock' }),
      await lazy('nydus', { enable_remote_snapshot_annotations: 'false' }),
      await lazy('other', {}, true),
      await lazy('stargz', { enable_remote_snapshot_annotations: 'true' }),
      await lazy('other'),
      await lazy('overlayfs', {}, true),
    ],
    [['stargz: containerd'], ['nydus: containerd'], ['other: containerd'], [], [], []],
  );
});

test("the transfer service's table is read from all files of containerd, the last one wins", () => {
  const table = (settings: object) => ({ plugins: { 'io.containerd.transfer.v1.local': settings } });
  const unpack_config = [{ platform, snapshotter: 'native', differ: 'walking' }, 'odd', { snapshotter: 7 }];
  assert.deepEqual(
    [
      transferSettings([]),
      transferSettings([
        { file: 'a', tree: table({ unpack_config, max_concurrent_downloads: 5 }) },
        { file: 'b', tree: table({ max_concurrent_downloads: 7, concurrent_layer_fetch_buffer: 'odd' }) },
        { file: 'c', tree: {} },
      ]),
    ],
    [
      defaultTransferSettings(),
      {
        unpackConfig: [
          { platform, snapshotter: 'native' },
          { platform: '', snapshotter: '' },
        ],
        maxConcurrentDownloads: 7,
        concurrentLayerFetchBuffer: 0,
      },
    ],
  );
});
