import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connectPlugin, type ConnectedPlugin } from '../../../src/nri-plugin/index.js';
import { runPod, type RunningPod } from '../../harness/pod.js';
import { assertFails, startSuite } from '../rpc/suite.js';

/** Classes of block I/O, chosen by a plugin and by an annotation, as the cgroup of the container has them. */

const CGROUPS = '/sys/fs/cgroup';
const RATE = 1_048_576;
const ANNOTATION = 'blockio.resources.beta.kubernetes.io/pod';

const disk = (await readdir('/sys/block')).find((name) => /^(vd|sd|nvme)/.test(name));
const isVersion2 = existsSync(join(CGROUPS, 'cgroup.controllers'));
const hasThrottle = isVersion2
  ? (await readFile(join(CGROUPS, 'cgroup.controllers'), 'utf8')).includes('io')
  : existsSync(join(CGROUPS, 'blkio', 'blkio.throttle.read_bps_device'));
const skip = !disk || !hasThrottle ? 'needs a disk and its cgroup controller' : false;

let socket = '';
const suite = startSuite({
  async crid(stack) {
    socket = join(stack.dir, 'block-io', 'nri.sock');
    const file = join(stack.dir, 'block-io.yaml');
    await writeFile(
      file,
      `Classes:\n  slow:\n    - Devices: [/dev/${disk?.slice(0, -1)}*]\n      ThrottleReadBps: 1Mi\n`,
    );
    const nri = { enabled: true, socket_path: socket, plugin_path: join(stack.dir, 'no-plugins') };
    return { config: { nri, runtime: { blockio_config_file: file } } };
  },
});
let plugin: ConnectedPlugin | undefined;
after(() => plugin?.close());

/** Returns the limits of the container's cgroup for the bytes that it reads from the disk. */
async function readLimits(pod: RunningPod, id: string): Promise<string> {
  const { stdout } = await pod.exec(id, ['cat', '/proc/self/cgroup']);
  const path = (controllers: RegExp): string =>
    stdout
      .split('\n')
      .map((line) => line.split(':'))
      .find(([, names]) => controllers.test(names ?? ''))?.[2] ?? '';
  const file = isVersion2
    ? join(CGROUPS, path(/^$/), 'io.max')
    : join(CGROUPS, 'blkio', path(/(^|,)blkio(,|$)/), 'blkio.throttle.read_bps_device');
  return readFile(file, 'utf8');
}

const limitOfDisk = async (): Promise<string> => {
  const numbers = (await readFile(`/sys/block/${disk}/dev`, 'utf8')).trim();
  return isVersion2 ? `${numbers} rbps=${RATE}` : `${numbers} ${RATE}`;
};

/** The pod shows the host's paths of cgroups. */
const HOST_CGROUPS = { linux: { security_context: { privileged: true } } };

test('the class of an annotation limits the disk in the cgroup of the container', { skip }, async () => {
  const pod = await runPod(suite.crid, suite.stack, { annotations: { [ANNOTATION]: 'slow' }, ...HOST_CGROUPS });
  assert.ok((await readLimits(pod, await pod.run(HOST_CGROUPS))).includes(await limitOfDisk()));
});

test('the class of a plugin limits the disk, and one that does not exist is refused by name', { skip }, async () => {
  let name = 'slow';
  plugin = await connectPlugin(
    {
      createContainer: ({ pod }) =>
        pod.annotations['by-plugin'] === 'yes'
          ? { adjust: { linux: { resources: { blockio_class: { value: name } } } } }
          : undefined,
    },
    { name: 'classes', index: '10', socketPath: socket },
  );
  const pod = await runPod(suite.crid, suite.stack, { annotations: { 'by-plugin': 'yes' }, ...HOST_CGROUPS });
  assert.ok((await readLimits(pod, await pod.run(HOST_CGROUPS))).includes(await limitOfDisk()));
  name = 'none';
  await assertFails(
    pod.create(),
    'FAILED_PRECONDITION',
    '10-classes: adjust.linux.resources.blockio_class: there is no block I/O class "none"',
  );
});
