import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withContext } from '../../../src/base/context.js';
import { inSpan } from '../../../src/base/in-span.js';
import type { Span } from '../../../src/base/span.js';
import { createContainerd } from '../../../src/containerd/client.js';
import { createFake, silent } from './fake-containerd.js';

/** A span that records its calls and those of its children. */
function recorded(name: string, seen: string[]): Span {
  return {
    traceId: 'trace',
    set: () => undefined,
    child: (below) => recorded(`${name} > ${below}`, seen),
    headers: () => ({ traceparent: name }),
    end: (failure) => void seen.push(failure ? `${name}: ${failure.code}` : name),
  };
}

test('a call to containerd carries the span of its step, and nothing without tracing', async (t) => {
  const carried: (string | undefined)[] = [];
  const fake = await createFake({
    deleteContainer: ({ id }, { metadata }) => {
      carried.push(metadata.get('traceparent'));
      if (id === 'bad') throw new Error('no');
      return {};
    },
  });
  await fake.start();
  const containerd = createContainerd({ address: fake.address, namespace: 'test', log: silent });
  t.after(async () => {
    containerd.close();
    await fake.remove();
  });
  const seen: string[] = [];
  const request = { requestId: 'r', log: silent, span: recorded('call', seen) };
  await withContext(request, () => inSpan('step', () => containerd.containers.delete('good')));
  await assert.rejects(withContext(request, () => inSpan('step', () => containerd.containers.delete('bad'))));
  await inSpan('step', () => containerd.containers.delete('good'));
  assert.deepEqual(carried, [
    'call > step > containerd containers.delete',
    'call > step > containerd containers.delete',
    undefined,
  ]);
  assert.deepEqual(seen, [
    ...['call > step > containerd containers.delete', 'call > step'],
    ...['call > step > containerd containers.delete: UNKNOWN', 'call > step: UNKNOWN'],
  ]);
});
