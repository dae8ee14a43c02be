import assert from 'node:assert/strict';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { until } from '../../../tools/stack/wait.js';
import { serviceManager, type ServiceManager } from '../../harness/service-manager.js';
import { ctr } from '../recovery/processes.js';
import { exited } from '../recovery/view.js';
import { startSuite } from '../rpc/suite.js';

/**
 * The last output of a container that ends while crid is not running, with a service manager that stores descriptors.
 */

let manager: ServiceManager | undefined;
const suite = startSuite({
  withPod: true,
  crid: (stack) => {
    const socket = join(stack.dir, `notify-${process.pid}`);
    manager = serviceManager(socket);
    return { env: { NOTIFY_SOCKET: socket } };
  },
});
after(() => manager?.close());
const WAIT_LIMIT_MS = 30_000;
const TURNS = 3;
const LAST = 5000;

test('the output and the exit of a container while crid is down are in its log after the next start', async () => {
  assert.ok(manager);
  for (let turn = 1; turn <= TURNS; turn += 1) {
    const folder = await mkdtemp(join(suite.stack.dir, 'away-'));
    const name = `away-${turn}`;
    const id = await suite.pod.run({
      name,
      command: [
        'sh',
        '-c',
        `echo ready; while [ ! -e /away/go ]; do sleep 0.05; done; seq 1 ${LAST}; printf end; echo err >&2`,
      ],
      mounts: [{ host_path: folder, container_path: '/away' }],
    });
    const log = async (): Promise<string> => readFile(suite.pod.logPath(name), 'utf8');
    await until('it is ready', WAIT_LIMIT_MS, async () => (await log()).includes('ready') || undefined);
    manager.receive();
    assert.deepEqual(manager.stored(), [id]);
    await suite.crid.kill9();
    await writeFile(join(folder, 'go'), '');
    await until(
      'the container has ended',
      WAIT_LIMIT_MS,
      async () =>
        (await ctr(suite.stack, 'tasks', 'list'))
          .split('\n')
          .some((line) => line.startsWith(id) && line.includes('STOPPED')) || undefined,
    );
    await suite.crid.start();
    await exited(suite.crid, id);
    const lines = (await log()).split('\n').map((line) => line.split(' ').slice(1).join(' '));
    const numbers = Array.from({ length: LAST }, (_, index) => `stdout F ${index + 1}`);
    assert.deepEqual(
      lines.filter((line) => line.startsWith('stdout')),
      ['stdout F ready', ...numbers, 'stdout P end'],
    );
    assert.deepEqual(
      lines.filter((line) => line.startsWith('stderr')),
      ['stderr F err'],
    );
    await until('it is let go of', WAIT_LIMIT_MS, () => {
      manager?.receive();
      return manager?.stored().length === 0 || undefined;
    });
    await suite.crid.runtime.removeContainer({ container_id: id });
  }
});
