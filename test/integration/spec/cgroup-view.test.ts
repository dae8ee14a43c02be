import assert from 'node:assert/strict';
import { readlink } from 'node:fs/promises';
import { test } from 'node:test';
import { CgroupMountMode, NamespaceMode } from '../../../generated/runtime/v1/api.js';
import { readMountInfo } from '../../../src/host/mount/mountinfo.js';
import { runPod, type RunningPod } from '../../harness/pod.js';
import { isV2 } from '../rpc/cgroup.js';
import { assertFails, startSuite } from '../rpc/suite.js';
import { context, inside, type Context } from './rules.js';

const { CONTAINER, NODE } = NamespaceMode;
const { CGROUP_MOUNT_MODE_READ_ONLY, CGROUP_MOUNT_MODE_READ_WRITE } = CgroupMountMode;

const suite = startSuite({
  crid: ({ runcPath }) => ({
    config: {
      runtime: {
        containerd: {
          runtimes: {
            writable: {
              runtime_type: 'io.containerd.runc.v2',
              options: { BinaryName: runcPath },
              cgroup_writable: true,
            },
          },
        },
      },
    },
  }),
});

const namespace = (mode: NamespaceMode, more: Context = {}) =>
  context({ ...more, namespace_options: { cgroupns_options: { mode } } });
const isOfNode = async (pod: RunningPod, config: ReturnType<typeof context>): Promise<boolean> =>
  (await inside(suite, pod, config, 'readlink /proc/self/ns/cgroup')) === (await readlink('/proc/self/ns/cgroup'));
/** Prints how the cgroups are mounted: `ro` or `rw`. */
const MODES = 'grep " /sys/fs/cgroup" /proc/self/mounts | grep -v "^tmpfs" | cut -d" " -f4 | cut -c1-2 | sort -u';

test('cgroupns_options: a namespace of its own, or that of the node, also for a privileged container', async () => {
  const privileged = { privileged: true };
  const plain = await runPod(suite.crid, suite.stack);
  const strong = await runPod(suite.crid, suite.stack, { linux: { security_context: privileged } });
  assert.deepEqual(
    {
      default: await isOfNode(plain, {}),
      container: await isOfNode(plain, namespace(CONTAINER)),
      node: await isOfNode(plain, namespace(NODE)),
      privileged: await isOfNode(strong, context(privileged)),
      privilegedContainer: await isOfNode(strong, namespace(CONTAINER, privileged)),
      privilegedNode: await isOfNode(strong, namespace(NODE, privileged)),
    },
    {
      default: !isV2,
      container: false,
      node: true,
      privileged: true,
      privilegedContainer: false,
      privilegedNode: true,
    },
  );
  assert.equal(await inside(suite, strong, namespace(CONTAINER, privileged), MODES), 'rw');
  assert.equal(await inside(suite, plain, namespace(CONTAINER), MODES), 'ro');
  await Promise.all([plain.remove(), strong.remove()]);
});

test('cgroup_mount_mode READ_ONLY takes precedence over the handler', async () => {
  const pod = await runPod(suite.crid, suite.stack, {}, 'writable');
  const readOnly = { cgroup_mount_mode: CGROUP_MOUNT_MODE_READ_ONLY };
  assert.deepEqual(
    [await inside(suite, pod, {}, MODES), await inside(suite, pod, context(readOnly), MODES)],
    ['rw', 'ro'],
  );
  await pod.remove();
});

test('cgroup_mount_mode READ_WRITE: writable on cgroup v2 with nsdelegate, else refused', async () => {
  const pod = await runPod(suite.crid, suite.stack);
  const readWrite = context({ cgroup_mount_mode: CGROUP_MOUNT_MODE_READ_WRITE });
  const delegates = await nodeDelegates();
  const { features } = await suite.crid.runtime.status({});
  assert.equal(features?.cgroup_mount_mode, delegates);
  if (delegates) assert.equal(await inside(suite, pod, readWrite, 'mkdir /sys/fs/cgroup/mine && echo made'), 'made');
  else await assertFails(pod.create(readWrite), 'FAILED_PRECONDITION', 'cgroup_mount_mode', 'nsdelegate');
  await pod.remove();
  await suite.assertNothingLeft();
});

test('Status: the handlers support cgroup namespaces, and options of mounts', async () => {
  const { runtime_handlers: handlers, features } = await suite.crid.runtime.status({});
  assert.equal(features?.mount_options, true);
  assert.deepEqual(
    handlers.map((handler) => handler.features?.cgroup_namespaces),
    handlers.map(() => true),
  );
});

const nodeDelegates = async (): Promise<boolean> =>
  isV2 &&
  (await readMountInfo()).some(
    ({ mountPoint, superOptions }) => mountPoint === '/sys/fs/cgroup' && superOptions.includes('nsdelegate'),
  );
