import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { defaultConfig } from '../../../src/config/defaults.js';
import type { NriConfig } from '../../../src/config/schema.js';
import { startNri, type NriOptions, type NriService } from '../../../src/nri/nri-service.js';
import { createRegistry } from '../../../src/nri/registry.js';
import { until } from '../../harness/memory-node/memory-crid.js';

/** Starts NRI without plugins, with its socket below a new folder. Returns the warnings that it logs, too. */
async function start(
  socket: string,
  { launchesPlugins = true, lookEveryMs, ...more }: Partial<NriConfig & NriOptions> = {},
): Promise<{ service: NriService; warnings: unknown[] }> {
  const warnings: unknown[] = [];
  const ignore = (): void => undefined;
  const log = { warn: (fields: unknown) => void warnings.push(fields), info: ignore, debug: ignore };
  const folder = dirname(dirname(socket));
  const config = {
    ...defaultConfig().nri,
    ...{ socket_path: socket, plugin_path: join(folder, 'plugins'), plugin_config_path: join(folder, 'conf.d') },
    ...more,
  };
  const parts = { log, config, known: () => [] } as unknown as Parameters<typeof createRegistry>[0];
  const options = {
    ...parts,
    version: '1.2.3',
    registry: createRegistry(parts),
    onCall: ignore,
    launchesPlugins,
    lookEveryMs,
  };
  const service = await startNri(options as unknown as NriOptions);
  return { service, warnings };
}

async function socketIn(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'crid-nri-'));
  t.after(() => rm(folder, { recursive: true }));
  return join(folder, 'nri', 'nri.sock');
}

test('the socket is for root only, and goes when crid stops', async (t) => {
  const socket = await socketIn(t);
  const { service, warnings } = await start(socket);
  const mode = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8);
  assert.deepEqual([await mode(socket), await mode(dirname(socket)), warnings], ['660', '700', []]);
  await service.close();
  assert.equal(existsSync(socket), false);
});

test('a socket that another runtime serves is left to it, also when crid stops', async (t) => {
  const socket = await socketIn(t);
  await mkdir(dirname(socket));
  // crid's question whether a server answers ends with a reset.
  const other = createServer((connection) => connection.on('error', () => undefined).end('other')).listen(socket);
  t.after(() => void other.close());
  await once(other, 'listening');
  const { service, warnings } = await start(socket);
  assert.deepEqual(warnings, [{ err: `nri.socket_path: another server answers on "${socket}"` }]);
  await service.close();
  const [answer] = (await once(connect(socket), 'data')) as [Buffer];
  assert.equal(answer.toString(), 'other');
});

/** Resolves when plugins can connect to crid; a connection of another server gets a text. */
const isOurs = async (socket: string): Promise<boolean> => {
  const client = connect(socket);
  try {
    await once(client, 'connect');
    client.end();
    return (await client.toArray()).length === 0;
  } catch {
    return false;
  } finally {
    client.destroy();
  }
};

test('a socket that another runtime takes later is left to it, and taken back when that one has ended', async (t) => {
  const socket = await socketIn(t);
  const { service, warnings } = await start(socket, { lookEveryMs: 10, plugin_registration_timeout: '100ms' });
  t.after(() => service.close());
  assert.equal(await isOurs(socket), true);
  await rm(socket);
  const other = createServer((connection) => connection.on('error', () => undefined).end('other')).listen(socket);
  t.after(() => other.close());
  await once(other, 'listening');
  const lost = { err: `nri.socket_path: another server answers on "${socket}"` };
  const isLost = (): boolean => JSON.stringify(warnings).includes(JSON.stringify(lost));
  await until('crid has seen the other', isLost);
  assert.equal(await isOurs(socket), false);
  assert.equal(warnings.filter((each) => JSON.stringify(each) === JSON.stringify(lost)).length, 1);
  other.close();
  await until('crid listens again', () => existsSync(socket));
  assert.equal(await isOurs(socket), true);
});

test('a socket is made although a listener whose file was removed has the same path', async (t) => {
  const socket = await socketIn(t);
  await mkdir(dirname(socket));
  const other = createServer().listen(socket);
  t.after(() => other.close());
  await once(other, 'listening');
  await rm(socket);
  const { service, warnings } = await start(socket, { plugin_registration_timeout: '100ms' });
  assert.equal(await isOurs(socket), true);
  assert.doesNotMatch(JSON.stringify(warnings), /socket_path/);
  await service.close();
});

test('a socket whose server was killed is taken, and one that is removed is made again', async (t) => {
  const socket = await socketIn(t);
  await mkdir(dirname(socket));
  const killed =
    "require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))";
  spawnSync(process.execPath, ['-e', killed, socket]);
  assert.equal(existsSync(socket), true);
  const { service, warnings } = await start(socket, { lookEveryMs: 10, plugin_registration_timeout: '100ms' });
  assert.equal(await isOurs(socket), true);
  await rm(dirname(socket), { recursive: true });
  await until('crid listens again', () => existsSync(socket));
  assert.equal(await isOurs(socket), true);
  await service.close();
  assert.equal(existsSync(socket), false);
  assert.doesNotMatch(JSON.stringify(warnings), /socket_path/);
});

test('a launched plugin that does not register is ended', async (t) => {
  const socket = await socketIn(t);
  const folder = dirname(dirname(socket));
  await mkdir(join(folder, 'plugins'));
  const script = `#!/bin/sh\necho $$ >${folder}/pid\nexec sleep 1000\n`;
  await writeFile(join(folder, 'plugins', '10-silent'), script, { mode: 0o755 });
  const { service, warnings } = await start(socket, { plugin_registration_timeout: '500ms' });
  t.after(() => service.close());
  assert.match(JSON.stringify(warnings), /10-silent.*not registered within 0\.5 s/);
  const pid = Number(await readFile(join(folder, 'pid'), 'utf8'));
  await until('the plugin has ended', () => !existsSync(`/proc/${pid}`));
});

test('no plugin is launched if crid is not to launch them', async (t) => {
  const socket = await socketIn(t);
  const folder = dirname(dirname(socket));
  await mkdir(join(folder, 'plugins'));
  await writeFile(join(folder, 'plugins', '10-a'), `#!/bin/sh\n: >${folder}/ran\n`, { mode: 0o755 });
  const { service, warnings } = await start(socket, { launchesPlugins: false });
  await service.close();
  assert.deepEqual([warnings, existsSync(join(folder, 'ran'))], [[], false]);
});
