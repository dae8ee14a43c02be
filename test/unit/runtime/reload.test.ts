import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { CriError } from '../../../src/base/errors.js';
import { createLogger } from '../../../src/base/log.js';
import { program } from '../../../src/command-line.js';
import type { LoadedConfig } from '../../../src/config/load.js';
import { defaultConfig, type Config } from '../../../src/config/schema.js';
import { defaultTransferSettings } from '../../../src/config/transfer-settings.js';
import type { Containerd } from '../../../src/containerd/containerd.js';
import { createOperations } from '../../../src/operation/operation.js';
import { createHandlerMaker, type HandlerMaker } from '../../../src/runtime/handlers.js';
import { createReload, prepare } from '../../../src/runtime/reload.js';
import { createSettings } from '../../../src/runtime/settings.js';
import { createDirectories } from '../../../src/state/directories.js';
import { createStreaming } from '../../../src/streaming/create-streaming.js';
import { until } from '../../../tools/stack/wait.js';
import { openWebSocket } from '../../harness/streaming/websocket-client.js';
import { execUrl, never } from '../streaming/own-server.js';

function setUp({ runtimeFeatures = (): Promise<unknown> => Promise.resolve(undefined) } = {}) {
  const log = createLogger('error');
  const settings = createSettings(defaultConfig());
  const made: string[][] = [];
  let readings = 0;
  const containerd = {
    introspection: {
      plugins: () => Promise.resolve([]),
      version: () => Promise.resolve({ version: 'v2.3.7', revision: '' }),
      runtimeFeatures,
    },
  } as unknown as Containerd;
  const handlerMaker = {
    make: (config: Config) => {
      made.push(Object.keys(config.runtime.containerd.runtimes));
      return { handlers: {}, network: {}, networks: [] };
    },
    keepOnly: () => undefined,
  } as unknown as HandlerMaker;
  const reload = createReload({
    ...{ log, settings, containerd, handlerMaker, operations: createOperations({ log }) },
    images: { rebuild: () => Promise.resolve(void (readings += 1)) },
  });
  return { log, settings, containerd, handlerMaker, made, reload, readings: () => readings };
}

function loaded(change: (config: Config) => void = () => undefined): LoadedConfig {
  const config = defaultConfig();
  change(config);
  const files = { criPluginDisabled: true, criPluginRequired: false, transfer: defaultTransferSettings() };
  return { config, origins: new Map(), warnings: [], ...files };
}

test('a reload takes the level, handlers and pins, and keeps what needs a restart', async () => {
  const { log, settings, made, reload, readings } = setUp();
  const changes = await reload(() =>
    Promise.resolve(
      loaded(({ crid, images, runtime }) => {
        crid.log_level = 'warn';
        crid.traced_calls = 1;
        images.pinned_images = { sandbox: 'other' };
        runtime.containerd.runtimes['new'] = { ...runtime.containerd.runtimes['runc']! };
      }),
    ),
  );
  assert.deepEqual(
    {
      level: log.level,
      crid: settings.config.crid,
      pinned: settings.config.images.pinned_images,
      made,
      readings: readings(),
      needRestart: changes.filter(({ needsRestart }) => needsRestart).map(({ option }) => option),
    },
    {
      level: 'warn',
      crid: { ...defaultConfig().crid, log_level: 'warn' },
      pinned: { sandbox: 'other' },
      made: [['runc', 'new']],
      readings: 1,
      needRestart: ['crid.traced_calls'],
    },
  );
});

test('a reload that cannot read a file or a base spec changes nothing', async () => {
  const { log, settings, made, reload } = setUp();
  const wrong = new CriError('INVALID_ARGUMENT', 'crid.toml: line 1');
  await assert.rejects(
    reload(() => Promise.reject(wrong)),
    /crid\.toml: line 1/,
  );
  const missing = loaded(({ crid, runtime }) => {
    crid.log_level = 'debug';
    runtime.containerd.runtimes['runc']!.base_runtime_spec = '/nowhere/spec.json';
  });
  await assert.rejects(
    reload(() => Promise.resolve(missing)),
    /base_runtime_spec \/nowhere\/spec\.json: cannot be read: ENOENT/,
  );
  assert.deepEqual([log.level, made, { ...settings.config }], ['error', [], defaultConfig()]);
});

test('reloads that come while one runs are one more reload', async () => {
  const { reload } = setUp();
  let reads = 0;
  const load = (): Promise<LoadedConfig> => {
    reads += 1;
    return Promise.resolve(loaded());
  };
  const first = reload(load);
  await new Promise((resolve) => setImmediate(resolve));
  await Promise.all([first, reload(load), reload(load), reload(load)]);
  assert.equal(reads, 2);
  await reload(load);
  assert.equal(reads, 3);
});

test('a runtime that does not respond fails a reload, which changes nothing, and at the start has no features', async () => {
  const code = 'DEADLINE_EXCEEDED';
  const runtimeFeatures = () => Promise.reject(new CriError(code, 'introspection.runtimeFeatures: 10 s'));
  const { log, settings, containerd, handlerMaker, made, reload } = setUp({ runtimeFeatures });
  await assert.rejects(
    reload(() => Promise.resolve(loaded(({ crid }) => void (crid.log_level = 'debug')))),
    { code, message: 'prepare handlers: features of the runtime handler "runc": introspection.runtimeFeatures: 10 s' },
  );
  assert.deepEqual([log.level, made, { ...settings.config }], ['error', [], defaultConfig()]);
  const { features } = await prepare({ log, containerd, handlerMaker }, loaded());
  assert.equal(features.get('runc')?.userNamespaces, false);
});

test('a runtime that refuses to report its features does not fail a reload', async () => {
  const runtimeFeatures = () => Promise.reject(new CriError('UNIMPLEMENTED', 'no features'));
  const { settings, reload } = setUp({ runtimeFeatures });
  await reload(() => Promise.resolve(loaded()));
  assert.equal(settings.now().features.get('runc')?.userNamespaces, false);
});

test('wrong options of runtimes are all refused by path, in a reload and in `crid config check`', async (t) => {
  const { settings, made, reload } = setUp();
  const change = ({ runtime: { containerd } }: Config): void => {
    const { runc } = containerd.runtimes;
    containerd.runtimes['a'] = { ...runc!, options: { SystemdCgrup: true } };
    containerd.runtimes['b.c'] = { ...runc!, options: { IoUid: 'root' } };
  };
  const lines = [
    'runtime.containerd.runtimes.a.options: runtime option SystemdCgrup: unknown option;',
    'runtime.containerd.runtimes."b.c".options: runtime option IoUid: expected an unsigned 32-bit integer',
  ];
  const refused = ({ message }: Error): boolean => {
    const found = message
      .replace(/^prepare handlers: /, '')
      .trim()
      .split('\n');
    assert.deepEqual(
      found.map((line, index) => line.slice(0, lines[index]?.length)),
      lines,
    );
    return true;
  };
  await assert.rejects(
    reload(() => Promise.resolve(loaded(change))),
    refused,
  );
  assert.deepEqual([made, { ...settings.config }], [[], defaultConfig()]);

  const file = join(folder(t), 'crid.toml');
  const table = '[runtime.containerd.runtimes';
  const type = 'runtime_type = "io.containerd.runc.v2"';
  writeFileSync(
    file,
    [
      `${table}.a]\n${type}\n${table}.a.options]\nSystemdCgrup = true`,
      `${table}."b.c"]\n${type}\n${table}."b.c".options]\nIoUid = "root"`,
    ].join('\n'),
  );
  const check = ['config', 'check', '--containerd-config', '', '--config', file];
  await assert.rejects(program.parseAsync(check, { from: 'user' }), refused);
});

test('handlers that cannot be made leave no watch of a network behind', async (t) => {
  const { log, containerd } = setUp();
  const root = folder(t);
  const directories = createDirectories({ root, state: root, namespace: 'n', netnsUnderState: true });
  const maker = createHandlerMaker({ containerd, directories, log });
  t.after(() => maker.close());
  const parts = { baseSpecs: new Map(), features: new Map() };
  const [kept, dropped] = [folder(t), folder(t)];
  const config = (confDir: string, options: Record<string, unknown>): Config => {
    const { config } = loaded();
    const runc = { ...config.runtime.containerd.runtimes['runc']!, cni_conf_dir: confDir };
    config.runtime.containerd.runtimes = { runc, wrong: { ...runc, options } };
    return config;
  };
  maker.make(config(kept, {}), parts);
  await until('the directory is watched', 5_000, () => Promise.resolve(isWatched(kept) || undefined));
  assert.throws(() => maker.make(config(dropped, { Wrong: 1 }), parts), { code: 'INVALID_ARGUMENT' });
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.deepEqual([isWatched(kept), isWatched(dropped)], [true, false]);
});

test('a reload changes the idle timeout of later connections, and not that of open ones', async (t) => {
  const { log, settings, reload } = setUp();
  log.level = 'silent';
  const streaming = await createStreaming({ config: settings.config, log });
  t.after(() => streaming.close());
  const open = () => openWebSocket(execUrl(streaming, never), ['v5.channel.k8s.io']);
  const earlier = await open();
  t.after(() => earlier.socket.destroy());
  await reload(() => Promise.resolve(loaded(({ streaming }) => void (streaming.stream_idle_timeout = '100ms'))));
  assert.equal(await (await open()).closed, 1006);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(earlier.socket.destroyed, false);
});

function folder(t: TestContext): string {
  const made = mkdtempSync(join(tmpdir(), 'crid-reload-'));
  t.after(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

/** Whether this process has an inotify watch on the directory (proc(5), /proc/PID/fdinfo). */
function isWatched(dir: string): boolean {
  const inode = ` ino:${statSync(dir).ino.toString(16)} `;
  return readdirSync('/proc/self/fdinfo').some((fd) => {
    try {
      return readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8').includes(inode);
    } catch {
      return false;
    }
  });
}
