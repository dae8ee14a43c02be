import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ContainerConfig } from '../../../generated/runtime/v1/api.js';
import { createLogger } from '../../../src/base/log.js';
import type { ContainerDeps } from '../../../src/containers/container-deps.js';
import { mountImages } from '../../../src/containers/image-mounts.js';
import { createSteps } from '../../../src/operation/steps.js';
import type { Pod } from '../../../src/state/records.js';

const pod = { id: 'pod', snapshotter: 'overlayfs', config: { linux: undefined } } as unknown as Pod;
const config = ContainerConfig.fromPartial({ mounts: [{ container_path: '/image', image: { image: 'a' } }] });

/** Returns the calls that undo a create after it has mounted an image. `phase` is the pod's state by then. */
async function undone(phase: string | undefined): Promise<string[]> {
  const calls: string[] = [];
  const deps = {
    images: { get: () => ({ id: 'sha256:22', target: 'sha256:00', chainId: 'sha256:11' }) },
    unpackImage: () => Promise.resolve(),
    state: { pods: { find: () => phase && { state: { phase } } } },
    imageVolumes: {
      mount: () => Promise.resolve('/mounted'),
      removeAll: (...args: unknown[]) => Promise.resolve(void calls.push(args.join(' '))),
    },
  } as unknown as ContainerDeps;
  const steps = createSteps({ kind: 'create container', limitMs: 10_000, log: createLogger('error') });
  assert.deepEqual([...(await mountImages(deps, steps, pod, config))], [[0, { id: 'sha256:22', path: '/mounted' }]]);
  assert.deepEqual(await steps.undo(), []);
  steps.end();
  return calls;
}

test('a failed create unmounts its images only if the pod has been stopped or removed meanwhile', async () => {
  assert.deepEqual(
    [await undone('ready'), await undone('not ready'), await undone(undefined)],
    [[], ['pod overlayfs'], ['pod overlayfs']],
  );
});

test('a mount that fails has the word that a kubelet knows first in its message', async () => {
  const deps = {
    images: { get: () => ({ target: 'sha256:00', chainId: 'sha256:11' }) },
    unpackImage: () => Promise.resolve(),
    state: { pods: { find: () => undefined } },
    imageVolumes: { mount: () => Promise.reject(new Error('no space')), removeAll: () => Promise.resolve() },
  } as unknown as ContainerDeps;
  const steps = createSteps({ kind: 'create container', limitMs: 10_000, log: createLogger('error') });
  await assert.rejects(mountImages(deps, steps, pod, config), {
    message: 'ImageVolumeMountFailed: mount images: no space',
  });
  steps.end();
});
