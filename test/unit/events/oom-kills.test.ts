import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOomKills } from '../../../src/events/oom-kills.js';
import type { Container } from '../../../src/state/records.js';
import { createTable } from '../../../src/state/table.js';
import { container } from '../stats/records.js';

const SLICE = '/kubepods.slice/kubepods-pod1.slice';
const scopeOf = (id: string): string => `${SLICE}/cri-containerd-${id}.scope`;
const inSlice = (id: string): Container =>
  container(id, 'pod', { cgroupsPath: `kubepods-pod1.slice:cri-containerd:${id}` });

/** Containers of one pod, and the counts in the kernel's files. A cgroup without an entry does not exist. */
function scene(...ids: string[]) {
  const files = new Map<string, number>([[SLICE, 5], ...ids.map((id): [string, number] => [scopeOf(id), 0])]);
  const containers = createTable<Container>('container');
  const kills = createOomKills(containers, async (cgroup) => files.get(cgroup));
  for (const id of ids) containers.put(inSlice(id));
  return { files, containers, kills };
}

test('the event, else the container’s own cgroup', async () => {
  const { files, kills } = scene('a', 'b');
  assert.equal(await kills.wereTheEndOf(inSlice('a'), 137), false);
  files.set(scopeOf('a'), 1);
  assert.deepEqual(
    [await kills.wereTheEndOf(inSlice('a'), 137), await kills.wereTheEndOf(inSlice('b'), 137)],
    [true, false],
  );
  kills.note('b');
  assert.equal(await kills.wereTheEndOf(inSlice('b'), 137), true);
});

test('a scope that systemd has removed: the slice counts one more kill', async () => {
  const { files, kills } = scene('a');
  files.delete(scopeOf('a'));
  assert.equal(await kills.wereTheEndOf(inSlice('a'), 137), false, 'what came before is nobody’s');
  files.set(SLICE, 6);
  assert.equal(await kills.wereTheEndOf(inSlice('a'), 1), false, 'it has not been killed');
  assert.equal(await kills.wereTheEndOf(inSlice('a'), 137), true);
});

test('a kill of one container is not counted for another', async () => {
  const { files, kills } = scene('a', 'b');
  files.delete(scopeOf('a'));
  files.delete(scopeOf('b'));
  files.set(SLICE, 6);
  assert.equal(await kills.wereTheEndOf(inSlice('a'), 137), true);
  assert.equal(await kills.wereTheEndOf(inSlice('b'), 137), false);
});

test('a slice that is shared with others is not used', async () => {
  const containers = createTable<Container>('container');
  let count = 0;
  const kills = createOomKills(containers, async (cgroup) => (/\/(a|.*\.scope)$/.test(cgroup) ? undefined : count++));
  for (const cgroupsPath of ['system.slice:cri-containerd:a', '/kubepods/pod1/a']) {
    const alone = container('a', 'pod', { cgroupsPath });
    containers.put(alone);
    assert.equal(await kills.wereTheEndOf(alone, 137), false, cgroupsPath);
    containers.delete('a');
  }
});

test('a child was OOM-killed, and the container ended by SIGTERM or with 0: no OOM', async () => {
  const { files, kills } = scene('a');
  kills.note('a');
  files.set(scopeOf('a'), 1);
  const ends = await Promise.all([143, 0, 1, 137].map((exitCode) => kills.wereTheEndOf(inSlice('a'), exitCode)));
  assert.deepEqual(ends, [false, false, false, true]);
});
