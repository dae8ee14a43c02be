import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { extract, list } from 'tar';
import { run } from '../../../tools/stack/exec.js';
import { until } from '../../../tools/stack/wait.js';
import { assertLeavesNothing, leaks, type Inventory } from '../../harness/leaks.js';
import { pullImage, removeAllPods, runPod, type RunningPod } from '../../harness/pod.js';
import { startStack, type Stack } from '../../harness/test-stack.js';
import { PHASES, startFaultyCrid, stepsOf, type FaultyCrid } from '../recovery/faults.js';
import { assertFails, type BadRequest } from '../rpc/suite.js';

/** Checkpoints with the real CRIU, of containers of a containerd that has it in its PATH. */

const KIND = 'checkpoint container';
const LIMIT_MS = 20_000;
/** The magic number (little endian) at the beginning of CRIU's `inventory.img`. */
const INVENTORY = 0x58313116;
/** Keeps a text only in its memory, writes a file, deletes a file of the image, and counts. */
const COUNTER = {
  name: 'counter',
  command: [
    'sh',
    '-c',
    'half=in-its; held="$half-memory-alone"; echo written > /written; rm /etc/group; ' +
      'i=0; while :; do i=$((i+1)); echo count $i; sleep 0.2; done',
  ],
};

describe('checkpoints', { timeout: 600_000 }, () => {
  let stack: Stack;
  let crid: FaultyCrid;
  let pod: RunningPod;
  let folder: string;
  let id: string;
  let running: Inventory;

  before(async () => {
    stack = await startStack({ criu: true });
    crid = await startFaultyCrid(stack);
    await pullImage(crid);
    pod = await runPod(crid, stack);
    id = await pod.run(COUNTER);
    folder = await mkdtemp(join(stack.dir, 'checkpoints-'));
    running = await leaks(stack);
  });
  afterEach(async () => {
    await crid.clearFault();
    for (const name of await readdir(folder)) await rm(join(folder, name));
    for (const { id: other } of (await crid.runtime.listContainers({})).containers) {
      if (other !== id) await crid.runtime.removeContainer({ container_id: other });
    }
  });
  after(async () => {
    await removeAllPods(crid);
    await crid.stop();
    crid.close();
    await stack.dispose();
  });

  const checkpoint = (location: string, more: { container_id?: string; timeout?: bigint } = {}): Promise<unknown> =>
    crid.runtime.checkpointContainer({ container_id: id, location, ...more });
  const lastCount = async (): Promise<number> =>
    Number(/count (\d+)\n$/.exec(await readFile(pod.logPath('counter'), 'utf8'))?.[1]);
  const assertGoesOn = async (): Promise<void> => {
    const at = await lastCount();
    await until('the container counts on', LIMIT_MS, async () => (await lastCount()) > at || undefined);
    assert.equal((await pod.exec(id, ['cat', '/written'])).stdout, 'written\n');
  };
  const assertLeft = async (...names: readonly string[]): Promise<void> => {
    await assertLeavesNothing(stack, running);
    assert.deepEqual(await readdir(folder), names);
    const cri = join(stack.containerd.root, 'io.containerd.grpc.v1.cri', 'containers', id);
    assert.ok(!(await readdir(cri)).includes('checkpoint'));
  };

  test('an archive has the memory, the root file system, the spec and the status, and the container continues', async () => {
    const location = join(folder, 'whole.tar');
    const counted = await lastCount();
    await checkpoint(location);
    await assertGoesOn();
    await assertLeft('whole.tar');
    assert.equal((await stat(location)).mode & 0o7777, 0o600);

    const into = join(stack.dir, 'unpacked');
    await mkdir(into);
    await extract({ file: location, cwd: into });
    const read = (name: string): Promise<string> => readFile(join(into, name), 'utf8');
    const top = (await readdir(into)).sort();
    assert.deepEqual(top, [
      ...['checkpoint', 'config.dump', 'container.log', 'dump.log', 'rootfs-diff.tar', 'spec.dump', 'stats-dump'],
      ...['status', 'status.dump'],
    ]);
    const inventory = await readFile(join(into, 'checkpoint', 'inventory.img'));
    assert.equal(inventory.readUInt32LE(0), INVENTORY);
    const pages = (await readdir(join(into, 'checkpoint'))).filter((name) => /^pages-\d+\.img$/.test(name));
    const memory = await Promise.all(pages.map((name) => readFile(join(into, 'checkpoint', name), 'latin1')));
    assert.ok(
      memory.some((page) => page.includes('in-its-memory-alone')),
      'what only the process knew is in its pages',
    );
    assert.match(await read('dump.log'), /Dumping finished successfully/);

    const diff: string[] = [];
    await list({ file: join(into, 'rootfs-diff.tar'), onReadEntry: ({ path }) => void diff.push(path) });
    assert.deepEqual(diff.filter((path) => /written|group/.test(path)).sort(), ['etc/.wh.group', 'written']);
    const spec = JSON.parse(await read('spec.dump')) as { process: { args: string[] } };
    assert.deepEqual(spec.process.args, COUNTER.command);
    const config = JSON.parse(await read('config.dump')) as Record<string, unknown>;
    const { status } = await crid.runtime.containerStatus({ container_id: id });
    assert.deepEqual(
      [config['id'], config['rootfsImageName'], config['rootfsImageRef'], config['runtime']],
      [id, status!.image!.image, status!.image_ref, 'io.containerd.runc.v2'],
    );
    assert.equal((JSON.parse(await read('status.dump')) as { id: string }).id, id);
    assert.ok(
      Number(/count (\d+)\n$/.exec(await read('container.log'))?.[1]) >= counted,
      'the log as far as it had come',
    );
  });

  test('an existing archive is replaced as a whole', async () => {
    const location = join(folder, 'again.tar');
    await writeFile(location, 'old');
    await checkpoint(location, { timeout: 300n });
    const names: string[] = [];
    await list({ file: location, onReadEntry: ({ path }) => void names.push(path) });
    assert.ok(names.includes('config.dump'));
    await assertLeft('again.tar');
  });

  test('errors of bad requests name the field, and nothing happens', async () => {
    const created = await pod.create();
    const into = join(folder, 'x.tar');
    const bad: readonly BadRequest[] = [
      ['relative', () => checkpoint('x.tar'), 'INVALID_ARGUMENT', 'location', 'not an absolute path'],
      ['empty', () => checkpoint(''), 'INVALID_ARGUMENT', 'location'],
      ['upwards', () => checkpoint(`${folder}/../x.tar`), 'INVALID_ARGUMENT', 'location', '".."'],
      ['a directory', () => checkpoint(folder), 'INVALID_ARGUMENT', 'location', 'is a directory'],
      [
        'nowhere',
        () => checkpoint(`${folder}/no/x.tar`),
        'INVALID_ARGUMENT',
        'location',
        `directory "${folder}/no" does not exist`,
      ],
      ['negative', () => checkpoint(into, { timeout: -1n }), 'INVALID_ARGUMENT', 'timeout'],
      ['unknown', () => checkpoint(into, { container_id: 'f00' }), 'NOT_FOUND', 'f00'],
      ['created', () => checkpoint(into, { container_id: created }), 'FAILED_PRECONDITION', created, 'not running'],
    ];
    for (const [name, call, code, ...texts] of bad) {
      await assertFails(call(), code, ...texts).catch((thrown: unknown) => assert.fail(`${name}: ${String(thrown)}`));
    }
    await crid.runtime.removeContainer({ container_id: created });
    await assertLeft();
  });

  test('the error has the reason of CRIU if it cannot dump, and the container continues', async () => {
    // CRIU dumps an open file without a name only up to 1 MiB.
    const hold = 'dd if=/dev/zero of=/big bs=1M count=2; exec 3</big; rm /big; touch /ready; while :; do sleep 1; done';
    const other = await pod.run({ command: ['sh', '-c', hold] });
    await until(
      'the file is open',
      LIMIT_MS,
      async () => (await pod.exec(other, ['test', '-e', '/ready'])).exitCode === 0 || undefined,
    );
    await assertFails(
      checkpoint(join(folder, 'x.tar'), { container_id: other }),
      'FAILED_PRECONDITION',
      'dump processes: criu cannot dump the container: ',
      'ghost file',
    );
    assert.equal((await pod.exec(other, ['echo', 'goes on'])).stdout, 'goes on\n');
    await crid.runtime.removeContainer({ container_id: other });
    await assertLeft();
  });

  test('a disk without space for the archive is left as it was', async () => {
    const small = join(stack.dir, 'small');
    await mkdir(small);
    await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', small]);
    try {
      await assertFails(checkpoint(join(small, 'x.tar')), 'RESOURCE_EXHAUSTED', 'write archive', 'ENOSPC');
      assert.deepEqual(await readdir(small), []);
    } finally {
      await run('umount', [small]);
    }
    await assertGoesOn();
    await assertLeft();
  });

  test('a caller that leaves aborts the checkpoint', async () => {
    const go = join(stack.dir, 'go');
    for (const step of ['dump processes', 'write archive']) {
      await crid.setFault(`${KIND}/${step}:before=hang=${go}`);
      const leaving = new AbortController();
      const call = crid.runtime.checkpointContainer(
        { container_id: id, location: join(folder, 'x.tar') },
        { signal: leaving.signal },
      );
      call.catch(() => undefined);
      await until('it hangs', LIMIT_MS, async () => {
        const { info } = await crid.runtime.containerStatus({ container_id: id, verbose: true });
        return info['info']!.includes(`"name":"${step}"`) || undefined;
      });
      leaving.abort();
      await assert.rejects(call);
      await writeFile(go, '');
      await until('it is taken back', LIMIT_MS, async () => {
        const { info } = await crid.runtime.containerStatus({ container_id: id, verbose: true });
        return info['info']!.includes('"operations":[]') || undefined;
      });
      await rm(go);
      await crid.clearFault();
      await assertGoesOn();
      await assertLeft();
    }
  });

  test('kill -9 at each step: the container continues, nothing is left behind, and the next try succeeds', async () => {
    const location = join(folder, 'killed.tar');
    const steps = await stepsOf(crid, KIND, () => checkpoint(location));
    assert.ok(steps.length >= 10, steps.join(', '));
    await rm(location);
    for (const step of steps) {
      for (const phase of PHASES) {
        await crid.setFault(`${KIND}/${step}:${phase}=kill`);
        await assert.rejects(checkpoint(location));
        await crid.revive();
        try {
          await assertGoesOn();
          const isThere = step === 'clean up' || (step === 'publish archive' && phase === 'after');
          await assertLeft(...(isThere ? ['killed.tar'] : []));
        } catch (thrown) {
          throw new Error(`killed at ${step}:${phase}: ${String(thrown)}`, { cause: thrown });
        }
        await rm(location, { force: true });
      }
    }
    await checkpoint(location);
    await assertLeft('killed.tar');
  });
});
