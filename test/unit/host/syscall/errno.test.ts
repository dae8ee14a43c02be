import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { test } from 'node:test';
import type { CriError } from '../../../../src/base/errors.js';
import { errnoError, errnoName, translated } from '../../../../src/host/syscall/errno.js';

test('errno becomes a code and a message that names the call and the path', () => {
  const { ENOENT, EEXIST, EPERM, EACCES, EINVAL, ENOSPC, EDQUOT, EBUSY, EIO } = constants.errno;
  const errors = [ENOENT, EEXIST, EPERM, EACCES, EINVAL, ENOSPC, EDQUOT, EBUSY, EIO].map((n) =>
    errnoError('mount', '/x', n),
  );
  assert.deepEqual(
    errors.map((error) => [error.code, error.message]),
    [
      ['NOT_FOUND', 'mount /x: ENOENT'],
      ['ALREADY_EXISTS', 'mount /x: EEXIST'],
      ['PERMISSION_DENIED', 'mount /x: EPERM'],
      ['PERMISSION_DENIED', 'mount /x: EACCES'],
      ['INVALID_ARGUMENT', 'mount /x: EINVAL'],
      ['RESOURCE_EXHAUSTED', 'mount /x: ENOSPC (no space left on device)'],
      ['RESOURCE_EXHAUSTED', 'mount /x: EDQUOT (disk quota exceeded)'],
      ['FAILED_PRECONDITION', 'mount /x: EBUSY'],
      ['INTERNAL', 'mount /x: EIO'],
    ],
  );
});

test('errors of node:fs are translated, and keep their errno through a prefix', async () => {
  const failing = translated('/etc', () => readFile('/does/not/exist'));
  await assert.rejects(failing, (thrown) => {
    const error = (thrown as CriError).prefixed('read config');
    assert.deepEqual(
      [error.code, error.message, errnoName(error)],
      ['NOT_FOUND', 'read config: open /does/not/exist: ENOENT', 'ENOENT'],
    );
    return true;
  });
});
