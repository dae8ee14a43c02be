import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { access, mkdtemp } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { startApp, type App } from '../../../src/app.js';
import { loadConfig } from '../../../src/config/load.js';
import { createFdStore } from '../../../src/host/systemd/fd-store.js';
import { createSdNotify } from '../../../src/host/systemd/sd-notify.js';
import { until } from '../../../tools/stack/wait.js';
import { testStack } from '../../harness/test-stack.js';

/** The open handles that keep a process alive, apart from timers and pending file calls. */
const handles = (): string[] =>
  process.getActiveResourcesInfo().filter((name) => /Wrap|MessagePort|Worker|Watcher|Watch/.test(name));

/** The open sockets, also those that do not keep the process alive, such as the connection to containerd. */
const sockets = (): string[] =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)].filter((target) => target.startsWith('socket:'));
    } catch {
      return []; // The descriptor of the listing itself.
    }
  });

test('a start that fails at its last step closes what it has created', async (t) => {
  const stack = await testStack();
  const listen = join(await mkdtemp(join(stack.dir, 'failed-start-')), 'crid.sock');
  const taken = createServer().listen(0, '127.0.0.1');
  t.after(() => taken.close());
  await new Promise((resolve) => taken.once('listening', resolve));
  const { port } = taken.address() as AddressInfo;
  const start = async (metricsAddress: string): Promise<App> =>
    startApp(
      await loadConfig({
        containerdConfig: stack.containerd.config,
        config: '',
        listen,
        overrides: { crid: { log_level: 'error', metrics_address: metricsAddress } },
      }),
      createFdStore(createSdNotify({}), {}),
    );

  const before = handles();
  const socketsBefore = new Set(sockets());
  await assert.rejects(start(`127.0.0.1:${port}`), { code: 'FAILED_PRECONDITION', message: /EADDRINUSE/ });
  await assert.rejects(access(listen), { code: 'ENOENT' });
  await until('nothing of the failed start is open', 5_000, () =>
    isDeepStrictEqual(handles(), before) && sockets().every((each) => socketsBefore.has(each)) ? true : undefined,
  );

  // The locks are free, and the same socket can be used.
  const app = await start('');
  await app.stop();
  await assert.rejects(access(listen), { code: 'ENOENT' });
});
