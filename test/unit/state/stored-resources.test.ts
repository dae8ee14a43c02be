import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LinuxContainerResources } from '../../../generated/runtime/v1/api.js';
import { decodeUpdatedResources, encodeUpdatedResources } from '../../../src/state/stored-resources.js';

test("a pod's updated resources are kept in the form of containerd's plugin", () => {
  const resources = LinuxContainerResources.fromPartial({ cpu_quota: -1n, memory_limit_in_bytes: 2n ** 63n - 1n });
  const stored = encodeUpdatedResources({ overhead: undefined, resources });
  assert.deepEqual(
    { ...stored, value: Buffer.from(stored.value).toString() },
    {
      type_url: 'io.containerd.cri.v1/UpdatedResources',
      value: '{"Overhead":null,"Resources":{"cpu_quota":-1,"memory_limit_in_bytes":9223372036854775807}}',
    },
  );
  assert.deepEqual(decodeUpdatedResources(stored, 'aaaa'), { overhead: undefined, resources });
  assert.throws(() => decodeUpdatedResources({ ...stored, value: Buffer.from('null') }, 'aaaa'), {
    code: 'INTERNAL',
    message: /^updated resources of "aaaa": TypeError: /,
  });
});
