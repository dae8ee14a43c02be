import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { join } from 'node:path';
import { test } from 'node:test';
import { createFdStore } from '../../../../src/host/systemd/fd-store.js';
import { createSdNotify } from '../../../../src/host/systemd/sd-notify.js';
import { serviceManager } from '../../../harness/service-manager.js';
import { countFds, folderFor } from '../helpers.js';

test('descriptors are stored once for a name, and released by name', (t) => {
  const path = join(folderFor(t), 'notify');
  const manager = serviceManager(path);
  t.after(() => manager.close());
  const store = createFdStore(createSdNotify({ NOTIFY_SOCKET: path }), {});
  const before = countFds();
  store.keep('a', [0, 1]);
  store.keep('a', [0, 1]);
  store.keep('b', [2]);
  const kept = [manager.receive(), manager.stored(), countFds() - before];
  store.release('a');
  store.release('a');
  store.release('never');
  assert.deepEqual(
    [...kept, manager.receive(), manager.stored(), countFds() - before, [...store.names]],
    [
      ['FDSTORE=1\nFDNAME=a\nFDPOLL=0', 'FDSTORE=1\nFDNAME=b\nFDPOLL=0'],
      ['a', 'b'],
      3,
      ['FDSTOREREMOVE=1\nFDNAME=a'],
      ['b'],
      1,
      ['b'],
    ],
  );
});

/** Prints what a process sees that systemd started with two stored descriptors. */
const CHILD = `
  import { existsSync } from 'node:fs';
  import { createFdStore } from '${new URL('../../../../src/host/systemd/fd-store.js', import.meta.url).href}';
  const here = () => [3, 4].map((fd) => existsSync('/proc/self/fd/' + fd));
  const before = here();
  const store = createFdStore({ notify() {} }, process.env);
  const left = Object.keys(process.env).filter((name) => name.startsWith('LISTEN_'));
  console.log(JSON.stringify([before, [...store.names], here(), left]));`;

test('descriptors that come with a start are closed, and known by name', async () => {
  const child = spawn('sh', ['-c', 'LISTEN_PID=$$ exec "$0" --input-type=module -e "$1"', process.execPath, CHILD], {
    stdio: ['ignore', 'pipe', 'inherit', 'pipe', 'pipe'],
    env: { ...process.env, LISTEN_FDS: '2', LISTEN_FDNAMES: 'a:a' },
  });
  assert.ok(child.stdout);
  assert.deepEqual(JSON.parse(await text(child.stdout)), [[true, true], ['a'], [false, false], []]);
});
