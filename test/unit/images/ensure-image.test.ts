import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ensureImage } from '../../../src/images/ensure-image.js';
import type { ImageDeps } from '../../../src/images/image-deps.js';

test('an image that is not on the node is not pulled when that is disabled', async () => {
  const images = { get: () => undefined, firstReading: () => undefined };
  // Without operations, a pull would fail with a TypeError.
  const deps = { images, config: { images: { registry: {} } } } as unknown as ImageDeps;
  const options = { snapshotter: 'overlayfs', signal: new AbortController().signal };
  await assert.rejects(ensureImage(deps)('registry.example/pause:1', { ...options, mayPull: false }), {
    code: 'NOT_FOUND',
    message: 'image "registry.example/pause:1" not found',
  });
});
