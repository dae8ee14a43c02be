import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { CgroupMountMode, NamespaceMode } from '../../generated/runtime/v1/api.js';
import { run } from '../../tools/stack/exec.js';
import { runPod, type RunningPod } from '../harness/pod.js';
import { inside, type Context } from '../integration/spec/rules.js';
import { startSuite } from '../integration/rpc/suite.js';
import { HANDLERS, POD_USERNS } from './scopes.js';

const { CONTAINER, NODE } = NamespaceMode;
const { CGROUP_MOUNT_MODE_READ_ONLY, CGROUP_MOUNT_MODE_READ_WRITE } = CgroupMountMode;
const WRITABLE = { cgroup_mount_mode: CGROUP_MOUNT_MODE_READ_WRITE };
const MIB = 1024 * 1024;

const suite = startSuite();

/** The node's mount of cgroup v2. Its options apply to every mount in its cgroup namespace. */
const nodeMount = (): Promise<string> => run('grep', [' /sys/fs/cgroup ', '/proc/self/mounts']);
const namespace = (mode: NamespaceMode, more: Context = {}): Context => ({
  ...more,
  namespace_options: { ...more.namespace_options, cgroupns_options: { mode } },
});

for (const handler of HANDLERS) {
  describe(handler, () => {
    let pod: RunningPod;
    let userns: RunningPod;
    let privileged: RunningPod;
    before(async () => {
      pod = await runPod(suite.crid, suite.stack, {}, handler);
      const inUserns = { linux: { security_context: { namespace_options: POD_USERNS } } };
      userns = await runPod(suite.crid, suite.stack, inUserns, handler);
      privileged = await runPod(
        suite.crid,
        suite.stack,
        { linux: { security_context: { privileged: true } } },
        handler,
      );
    });
    const shell = (of: RunningPod, security_context: Context, script: string): Promise<string> => {
      const resources = { memory_limit_in_bytes: BigInt(64 * MIB) };
      return inside(suite, of, { linux: { security_context, resources } }, script);
    };

    test('READ_WRITE: the container makes cgroups, and cannot lift its limit', async () => {
      // With crun, the limit lies above the root of the namespace.
      const script =
        'cd /sys/fs/cgroup; mkdir mine && echo made; echo max 2>&1 > memory.max; cat memory.max; rmdir mine';
      const said = await shell(pod, WRITABLE, script);
      assert.match(said, /^made\n/);
      assert.match(said, handler === 'crun' ? /made/ : new RegExp(`(^|\\n)${64 * MIB}(\\n|$)`));
      assert.match(await shell(userns, { ...WRITABLE, namespace_options: POD_USERNS }, script), /^made\n/);
    });

    test('READ_ONLY, and by default: no cgroup can be made', async () => {
      const script = 'mkdir /sys/fs/cgroup/mine; cat /proc/self/cgroup';
      const readOnly = { cgroup_mount_mode: CGROUP_MOUNT_MODE_READ_ONLY };
      for (const asked of [readOnly, {}, namespace(CONTAINER)]) {
        const said = await shell(pod, asked, script);
        assert.match(said, /Read-only file system/);
        assert.match(said, /(^|\n)0::\/\S*$/m);
      }
    });

    test('NODE: the node’s cgroups, read-only, and the node’s own mount stays as it is', async () => {
      const mounted = await nodeMount();
      const script = 'cat /proc/self/cgroup; ls -d /sys/fs/cgroup/system.slice; mkdir /sys/fs/cgroup/mine';
      const sees = /^0::\/system\.slice\/.*\n(.*\n)*\/sys\/fs\/cgroup\/system\.slice\n[^]*Read-only file system/;
      assert.match(await shell(pod, namespace(NODE), script), sees);
      assert.match(await shell(userns, namespace(NODE, { namespace_options: POD_USERNS }), script), sees);
      assert.equal(await nodeMount(), mounted);
    });

    test('privileged: a cgroup namespace of its own, writable', async () => {
      const mounted = await nodeMount();
      const script =
        'readlink /proc/self/ns/cgroup; ls /sys/fs/cgroup; mkdir /sys/fs/cgroup/mine && rmdir /sys/fs/cgroup/mine && echo made';
      const said = await shell(privileged, namespace(CONTAINER, { privileged: true }), script);
      assert.ok(!said.includes((await run('readlink', ['/proc/self/ns/cgroup'])).trim()), said);
      assert.ok(!said.includes('system.slice'), said);
      assert.match(said, /made$/);
      assert.equal(await nodeMount(), mounted);
    });
  });
}
