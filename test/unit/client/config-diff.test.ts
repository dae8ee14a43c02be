import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createServer } from 'nice-grpc';
import {
  RuntimeServiceDefinition,
  StatusResponse,
  type RuntimeServiceImplementation,
} from '../../../generated/runtime/v1/api.js';
import { configDiff, describeDiff, diffToRunning } from '../../../src/client/config-diff.js';
import { withoutCredentials } from '../../../src/config/redacted.js';
import { defaultConfig, type Config } from '../../../src/config/schema.js';
import { stringifyGoJson } from '../../../src/state/go-json.js';

const running = (config: Config | undefined) => ({
  status: () =>
    Promise.resolve(
      StatusResponse.fromPartial({
        info: config ? { cridConfig: stringifyGoJson(withoutCredentials(config)) } : {},
      }),
    ),
});

test('the differences to the running crid are told as TOML, those that a reload changes first', async () => {
  const loaded = defaultConfig();
  loaded.crid.log_level = 'debug';
  loaded.crid.traced_calls = 7;
  loaded.runtime.cni.bin_dirs = ['/a'];
  loaded.images.pinned_images['my image'] = 'x';
  assert.equal(
    describeDiff(await configDiff(running(defaultConfig()), loaded)),
    [
      'a reload changes:',
      '  crid.log_level: "info" -> "debug"',
      '  images.pinned_images."my image": not set -> "x"',
      '  runtime.cni.bin_dirs: [ "/opt/cni/bin" ] -> [ "/a" ]',
      'a restart is needed for:',
      '  crid.traced_calls: 200 -> 7',
      '',
    ].join('\n'),
  );
});

test('equal configurations have no differences, also with credentials and whole numbers beyond 2^53', async () => {
  const config = defaultConfig();
  config.images.registry.configs['r.test'] = { auth: { username: 'u', password: 'p', auth: '', identitytoken: '' } };
  config.runtime.containerd.runtimes['runc']!.options['Big'] = 9007199254740993n;
  assert.equal(describeDiff(await configDiff(running(config), structuredClone(config))), 'no differences\n');
});

test('a server that does not report its configuration is refused', async () => {
  await assert.rejects(configDiff(running(undefined), defaultConfig()), { code: 'UNIMPLEMENTED' });
});

/** Serves the Status of a crid on a socket. Other methods are not implemented. */
async function serveOn(t: TestContext, socket: string, config: Config): Promise<void> {
  const server = createServer();
  const methods = Object.keys(RuntimeServiceDefinition.methods).map((name) => [
    name,
    () => Promise.reject(new Error()),
  ]);
  const service = { ...Object.fromEntries(methods), ...running(config) } as unknown as RuntimeServiceImplementation;
  server.add(RuntimeServiceDefinition, service);
  await server.listen(`unix://${socket}`);
  t.after(() => server.forceShutdown());
}

test('with a new crid.listen, the crid on the default socket is compared, and else the error names --socket', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'crid-diff-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [usual, changed] = [join(folder, 'usual.sock'), join(folder, 'changed.sock')];
  const before = defaultConfig();
  before.crid.listen = usual;
  const loaded = structuredClone(before);
  loaded.crid.listen = changed;
  const hint =
    /changed\.sock.*; --socket names the socket of a running crid whose crid\.listen differs from the file$/s;
  await assert.rejects(diffToRunning(loaded, undefined, usual), { code: 'UNAVAILABLE', message: hint });
  await serveOn(t, usual, before);
  const expected = [{ option: 'crid.listen', old: usual, new: changed, needsRestart: true }];
  assert.deepEqual(await diffToRunning(loaded, undefined, usual), expected);
  assert.deepEqual(await diffToRunning(loaded, usual, '/nowhere.sock'), expected);
});
