import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { RuntimeServiceDefinition } from '../../../generated/runtime/v1/api.js';
import { run } from '../../../tools/stack/exec.js';
import { projectRoot } from '../../../tools/stack/project.js';
import { until } from '../../../tools/stack/wait.js';
import { mountHung, type HungMount } from '../../harness/hung-mount.js';
import { runningOperations } from '../../harness/operations.js';
import { containerConfig, runPod } from '../../harness/pod.js';
import { callWithin } from './deadline.js';
import { startSuite, failureOf } from './suite.js';

/** More containers than libuv's pool has threads mount a dead file system. */

const program = process.env['CRID_TEST_PROGRAM'] ?? join(projectRoot, 'bin', 'crid');
const CREATES = 70;
const DEADLINE_MS = 2_000;
const KNOWN_MS = 8_000;
const LIMIT_MS = 30_000;

let hung: HungMount | undefined;
// This hook must run before the suite's own, which fails if a mount is left.
after(() => hung?.release());
const suite = startSuite({ withPod: true });

test(
  'a hung mount fails the containers that need it, by name, and delays nothing else',
  { timeout: 180_000 },
  async () => {
    const { crid, stack, pod } = suite;
    const path = await mkdtemp(join(stack.dir, 'hung-'));
    hung = mountHung(path);
    const create = (index: number) => ({
      pod_sandbox_id: pod.id,
      config: containerConfig({ mounts: [{ container_path: '/data', host_path: join(path, String(index)) }] }),
      sandbox_config: pod.config,
    });
    const { createContainer } = RuntimeServiceDefinition.methods;
    const ended = await Promise.all(
      Array.from({ length: CREATES }, (_, index) =>
        callWithin(crid.socket, createContainer, create(index), DEADLINE_MS),
      ),
    );
    assert.deepEqual([...new Set(ended.map(({ code }) => code))], ['DEADLINE_EXCEEDED']);

    const startMs = performance.now();
    const other = await runPod(crid, stack);
    const id = await other.run();
    const said = await other.exec(id, ['echo', 'alive'], 10);
    const { containers } = await crid.runtime.listContainers({});
    await other.remove();
    assert.deepEqual([said.stdout, containers.some((one) => one.id === id)], ['alive\n', true]);
    assert.ok(performance.now() - startMs < LIMIT_MS);

    const { message } = await callWithin(crid.socket, createContainer, create(0), KNOWN_MS);
    assert.match(message, new RegExp(`mount source "${path}/\\d+".* has not answered`), message);
    const failure = await failureOf(crid.runtime.createContainer(create(CREATES)));
    assert.equal(failure.code, 'UNAVAILABLE');
    assert.match(
      failure.message,
      new RegExp(`host_path: mount source "${path}/70" .* on the same mount ${path} has not answered for \\d+ s`),
    );
    assert.match(
      await run(program, ['why', '--socket', crid.socket]),
      new RegExp(`mount source "${path}/\\d+", which has not answered`),
    );

    hung.release();
    await until('all are undone', LIMIT_MS, async () =>
      (await runningOperations(crid.runtime)).length === 0 ? true : undefined,
    );
    assert.equal((await crid.runtime.listContainers({})).containers.length, 0);
  },
);
