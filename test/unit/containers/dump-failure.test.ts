import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { CriError } from '../../../src/base/errors.js';
import { dumpFailure } from '../../../src/containers/checkpoint-container.js';

const LOG = `(00.000031) Version: 4.2.1
(00.010000) Error (criu/rlimit.c:10): rlimit: not for us
(00.050000) Warn  (criu/x.c:1): Error (is no error)
(00.060000)     42: Error (criu/files-reg.c:1048): Can't dump ghost file /big
(00.061000) Error (criu/cr-dump.c:1674): Dump files (pid: 8) failed with -1
(00.062000) Error (criu/cr-dump.c:2098): Dumping FAILED.
`;

async function failure(error: CriError, log?: string): Promise<[string, string]> {
  const folder = await mkdtemp(join(tmpdir(), 'crid-dump-'));
  try {
    const path = join(folder, 'dump.log');
    if (log !== undefined) await writeFile(path, log);
    const { code, message } = await dumpFailure(error, path);
    return [code, message];
  } finally {
    await rm(folder, { recursive: true });
  }
}

const unknown = (text: string): CriError => new CriError('UNKNOWN', `tasks.checkpoint: ${text}`);

test('the error has the last message of CRIU, without its conclusion', async () => {
  assert.deepEqual(await failure(unknown('runc did not terminate successfully'), LOG), [
    'FAILED_PRECONDITION',
    "criu cannot dump the container: rlimit: not for us; Can't dump ghost file /big; Dump files (pid: 8) failed with -1",
  ]);
});

test('the error names a missing criu', async () => {
  for (const text of [
    'criu version check failed: exec: "criu": executable file not found in $PATH',
    'CRIU version must be 3.0.0 or higher',
  ]) {
    const [code, message] = await failure(unknown(text));
    assert.equal(code, 'FAILED_PRECONDITION');
    assert.match(message, /^the runtime finds no usable criu in the PATH of containerd: tasks\.checkpoint: /);
  }
});

test('any other error stays unchanged', async () => {
  assert.deepEqual(await failure(unknown('no space left on device')), [
    'UNKNOWN',
    'tasks.checkpoint: no space left on device',
  ]);
  const late = new CriError('DEADLINE_EXCEEDED', 'tasks.checkpoint: no answer');
  assert.deepEqual(await failure(late, LOG), ['DEADLINE_EXCEEDED', 'tasks.checkpoint: no answer']);
});
