import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultConfig, type NriConfig } from '../../../src/config/schema.js';
import { sharedNri } from '../../../src/runtime/conflict.js';

const CRI = 'type==io.containerd.grpc.v1,id==cri';
const NRI = 'type==io.containerd.nri.v1,id==nri';

async function shared(
  loaded: readonly string[],
  { origin = 'default', ...nri }: Partial<NriConfig> & { origin?: string } = {},
): Promise<[isWarned: boolean, launches: boolean]> {
  const plugins = async ([filter = '']: string[]) => (loaded.includes(filter) ? [{ initError: '', initCode: 0 }] : []);
  const containerd = { introspection: { plugins } } as unknown as Parameters<typeof sharedNri>[0];
  const config = { ...defaultConfig(), nri: { ...defaultConfig().nri, ...nri } };
  const { warning, launches } = await sharedNri(containerd, { config, origins: new Map([['nri.enabled', origin]]) });
  return [warning !== '', launches];
}

test('plugins that containerd launches too are launched by crid only if its own file turns NRI on', async () => {
  assert.deepEqual(
    [
      await shared([CRI, NRI]),
      await shared([CRI, NRI], { origin: '/etc/crid/config.toml' }),
      await shared([CRI]),
      await shared([NRI]),
      await shared([CRI, NRI], { disable: true }),
    ],
    [
      [true, false],
      [true, true],
      [false, true],
      [false, true],
      [false, true],
    ],
  );
});
