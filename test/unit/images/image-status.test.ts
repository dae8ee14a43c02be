import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ImageStatusRequest } from '../../../generated/runtime/v1/api.js';
import { CriError } from '../../../src/base/errors.js';
import type { ImageDeps } from '../../../src/images/image-deps.js';
import { imageStatus } from '../../../src/images/image-status.js';
import type { LocalImage } from '../../../src/state/image-cache.js';

const MAX_SHOWN_BYTES = 256 << 10;
const ID = `sha256:${'a'.repeat(64)}`;
const KEPT = { config: { User: '7' } };

/** Returns the `info` of a verbose status of an image whose config in containerd is `stored`. */
async function infoOf(stored: string): Promise<unknown> {
  const image = { id: ID, chainId: 'chain', config: KEPT, repoTags: [], repoDigests: [], sizeBytes: 1n, user: {} };
  const read = (_digest: string, maxBytes: number): Promise<Uint8Array> =>
    stored.length > maxBytes
      ? Promise.reject(new CriError('RESOURCE_EXHAUSTED', 'too large'))
      : Promise.resolve(Buffer.from(stored));
  const deps = {
    images: { getForPeople: () => image as unknown as LocalImage, firstReading: () => undefined },
    unpacking: { missingFor: () => [] },
    containerd: { content: { read } },
    config: { images: { snapshotter: 'overlayfs' } },
    handlers: { get: () => ({ snapshotter: 'overlayfs' }) },
  } as unknown as ImageDeps;
  const { info } = await imageStatus(deps)(ImageStatusRequest.fromPartial({ image: { image: ID }, verbose: true }));
  return JSON.parse(info['info'] ?? '');
}

const configOf = (bytes: number): string => JSON.stringify({ history: 'x'.repeat(bytes - '{"history":""}'.length) });

test('a config is shown whole up to its limit; beyond it, or if it is not JSON, only the kept fields are shown', async () => {
  const omitted = { chainID: 'chain', imageSpec: KEPT, imageSpecOmitted: `all but what a container is made of: ${ID}` };
  const full = configOf(MAX_SHOWN_BYTES);
  assert.deepEqual(
    [await infoOf(full), await infoOf(configOf(MAX_SHOWN_BYTES + 1)), await infoOf('{"history":[tru]}')],
    [{ chainID: 'chain', imageSpec: JSON.parse(full) as unknown }, omitted, omitted],
  );
});
