import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CriError } from '../../../src/base/errors.js';
import { checkRecordSize, MAX_RECORD_BYTES } from '../../../src/containerd/record-size.js';

const any = (bytes: number) => ({ type_url: 'test', value: new Uint8Array(bytes) });

function refusal(record: Parameters<typeof checkRecordSize>[1]): string {
  try {
    checkRecordSize('container', record);
    return 'nothing thrown';
  } catch (thrown) {
    const { code, message } = CriError.from(thrown);
    return `${code} ${message}`;
  }
}

test('a record is written up to its limit; beyond it the error names its parts, largest first', () => {
  const record = (bytes: number) => ({
    id: 'c1',
    labels: { kind: 'é' },
    spec: any(bytes - 1006),
    extensions: { metadata: any(1000) },
  });
  assert.deepEqual(
    [refusal(record(MAX_RECORD_BYTES)), refusal(record(MAX_RECORD_BYTES + 1)), refusal({ id: 'empty' })],
    [
      'nothing thrown',
      'RESOURCE_EXHAUSTED record of container "c1": 12582913 bytes, more than 12582912: spec 12581907, metadata 1000, labels 6',
      'nothing thrown',
    ],
  );
});
