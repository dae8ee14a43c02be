import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CriError } from '../../../src/base/errors.js';
import { createOperations } from '../../../src/operation/operation.js';
import { createSandbox } from '../../../src/pods/create-sandbox.js';
import type { PodDeps } from '../../../src/pods/pod-deps.js';
import type { Handler } from '../../../src/sandboxer/handler.js';
import { createDirectories } from '../../../src/state/directories.js';
import { podRequest } from '../../harness/memory-node/requests.js';
import { silent as log } from '../containerd/fake-containerd.js';
import { HANDLER, HOST, OPTIONS } from '../spec/inputs.js';
import { pod } from '../stats/records.js';

/** Creates the sandbox of a pod on a node without a pause image; returns whether it was to be pulled, or the error. */
async function create(sandboxer: string, pullsPauseImage: boolean): Promise<unknown[]> {
  const asked: unknown[] = [];
  const sandboxers = { name: sandboxer, create: () => Promise.resolve({ pid: undefined, createdAtNs: 1n }) };
  const handler = { name: 'h', sandboxer: sandboxers, pullsPauseImage, spec: HANDLER } as unknown as Handler;
  const ensureImage: PodDeps['ensureImage'] = (_reference, { mayPull }) => {
    asked.push(mayPull);
    return Promise.reject(new CriError('NOT_FOUND', 'no pause image'));
  };
  const directories = createDirectories({ root: '/nowhere', state: '/nowhere', namespace: 'x', netnsUnderState: true });
  const deps = {
    ensureImage,
    directories,
    host: HOST,
    specOptions: OPTIONS,
    selinux: undefined,
    readPulledProfile: () => assert.fail('the pod names no profile'),
  };
  const made = pod('a', { sandboxer: 'vm', config: podRequest().config! });
  await createOperations({ log })
    .run({
      ...{ kind: 'run pod sandbox', subject: 'a', key: 'a', caller: {}, limitMs: 10_000 },
      work: (steps) => createSandbox(deps, steps, made, handler, undefined),
    })
    .catch((thrown: unknown) => asked.push((thrown as CriError).code));
  return asked;
}

test('disable_pause_image_pull: a controller needs no image, a pause container one that is on the node', async () => {
  assert.deepEqual(await create('vm', true), [true, 'NOT_FOUND']);
  assert.deepEqual(await create('vm', false), []);
  assert.deepEqual(await create('pause', false), [false, 'NOT_FOUND']);
});
