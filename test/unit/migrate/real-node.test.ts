import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createServer, ServerError, Status } from 'nice-grpc';
import { RuntimeServiceDefinition, type VersionResponse } from '../../../generated/runtime/v1/api.js';
import { criAt, runProgram } from '../../../src/migrate/real-node.js';

test('only UNIMPLEMENTED says that a process does not serve the CRI', async () => {
  const socket = join(await mkdtemp(join(tmpdir(), 'crid-cri-')), 's');
  const before = await criAt(socket);
  const states: string[] = [before];
  let code: Status | undefined;
  const server = createServer();
  const version = (): Promise<VersionResponse> =>
    code === undefined
      ? Promise.resolve({ version: '', runtime_name: '', runtime_version: '', runtime_api_version: '' })
      : Promise.reject(new ServerError(code, 'no'));
  server.add(
    { ...RuntimeServiceDefinition, methods: { version: RuntimeServiceDefinition.methods.version } },
    { version },
  );
  await server.listen(`unix://${socket}`);
  for (code of [undefined, Status.UNIMPLEMENTED, Status.UNKNOWN, Status.UNAVAILABLE]) states.push(await criAt(socket));
  await server.shutdown();
  assert.deepEqual(states, ['unknown', 'on', 'off', 'unknown', 'unknown']);
});

test('a program runs in a session of its own, and its output and exit code are returned', async () => {
  const { stdout } = await runProgram('cat', ['/proc/self/stat']);
  const [pid, , , , group, session] = stdout.split(' ');
  assert.deepEqual([group, session], [pid, pid]);
  assert.deepEqual(await runProgram('sh', ['-c', 'echo out; echo err >&2; exit 3']), {
    code: 3,
    stdout: 'out\n',
    stderr: 'err\n',
  });
  assert.equal((await runProgram('/no/such/program', [])).code, 127);
});
