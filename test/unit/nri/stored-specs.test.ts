import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CriError } from '../../../src/base/errors.js';
import type { Containerd } from '../../../src/containerd/containerd.js';
import { createStoredSpecs, type StoredSpecs } from '../../../src/nri/stored-specs.js';
import type { Container, Pod } from '../../../src/state/records.js';

const NEVER = new AbortController().signal;

/** Specs with the number of the read in their annotations. */
function counted(): { readonly specs: StoredSpecs; readonly reads: string[] } {
  const reads: string[] = [];
  const get = async (id: string): Promise<unknown> => {
    if (id === 'gone') throw new CriError('NOT_FOUND', id);
    const spec = {
      annotations: { read: String(reads.push(id)) },
      process: {},
      linux: { namespaces: [], resources: {} },
    };
    return { spec: { value: Buffer.from(JSON.stringify(spec)) } };
  };
  return { reads, specs: createStoredSpecs({ containers: { get } } as unknown as Pick<Containerd, 'containers'>) };
}

const container = (id: string, phase: 'created' | 'running' = 'created', resources: object = RESOURCES): Container =>
  ({ id, resources, state: { phase } }) as unknown as Container;
const RESOURCES = {};

async function readOf({ specs }: { specs: StoredSpecs }, of: Container): Promise<string | undefined> {
  return (await specs.ofContainer(of, NEVER))?.annotations?.['read'];
}

test('the spec of a container is read once until it runs, and again after an update of its resources', async () => {
  const all = counted();
  const updated = {};
  assert.deepEqual(
    [
      await readOf(all, container('c')),
      await readOf(all, container('c')),
      await readOf(all, container('c', 'created', updated)),
      await readOf(all, container('c', 'running', updated)),
      await readOf(all, container('c', 'running', updated)),
    ],
    ['1', '1', '2', '2', '3'],
  );
});

test('the specs of 32 containers are kept, and those of the oldest are read again', async () => {
  const all = counted();
  const ids = Array.from({ length: 33 }, (_, index) => `c${index}`);
  for (const id of ids) await readOf(all, container(id));
  for (const id of ids.slice(1)) await readOf(all, container(id));
  assert.deepEqual(all.reads, ids);
  assert.equal(await readOf(all, container('c0')), '34');
});

test('a container without a record has no spec', async () => {
  assert.equal(await readOf(counted(), container('gone')), undefined);
});

test("a pod's spec is read once as long as the pod has the same config, and only the parts of its message are kept", async () => {
  const { specs, reads } = counted();
  const pod = { id: 'p', config: {} } as unknown as Pod;
  const first = await specs.ofPod(pod, NEVER);
  assert.deepEqual(await specs.ofPod({ ...pod }, NEVER), first);
  assert.deepEqual(Object.keys((await specs.ofPod(pod, NEVER)) ?? {}), ['annotations', 'linux']);
  await specs.ofPod({ ...pod, config: {} } as unknown as Pod, NEVER);
  assert.deepEqual(reads, ['p', 'p']);
});
