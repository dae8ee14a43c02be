import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { PodSandboxState } from '../../../generated/runtime/v1/api.js';
import { until } from '../../../tools/stack/wait.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { assertLeavesNothing, leaks, type Inventory } from '../../harness/leaks.js';
import { podConfig, pullImage, removeAllPods, runPod } from '../../harness/pod.js';
import { testStack, type TestStack } from '../../harness/test-stack.js';
import { assertTruth } from './truth.js';

const LIMIT_MS = 20_000;
/** Longer than containerd waits before it gives a create up whose caller is gone. */
const DELAY_S = 12;

const MODES = ['before', 'after'] as const;
type Mode = (typeof MODES)[number];

describe('kill -9 while the OCI runtime creates a container', { timeout: 300_000 }, () => {
  let stack: TestStack;
  let crid: Crid;
  let nothing: Inventory;
  let dir: string;
  const modeFile = (): string => join(dir, 'mode');
  const reached = (): string => join(dir, 'reached');

  before(async () => {
    stack = await testStack();
    dir = await mkdtemp(join(stack.dir, 'slow-runc-'));
    const program = join(dir, 'runc');
    await writeFile(program, slowRunc(stack.runcPath, dir), { mode: 0o755 });
    crid = await startCrid(stack, {
      config: {
        runtime: {
          containerd: {
            runtimes: { slow: { runtime_type: 'io.containerd.runc.v2', options: { BinaryName: program } } },
          },
        },
      },
    });
    await pullImage(crid);
    await (await runPod(crid, stack)).remove();
    nothing = await leaks(stack);
  });
  after(async () => {
    await rm(modeFile(), { force: true });
    await removeAllPods(crid);
    await assertLeavesNothing(stack, nothing);
    await crid.stop();
  });

  /** Kills crid at the moment that `mode` names, while `call` waits for the runtime. */
  const killIn = async (mode: Mode, call: () => Promise<unknown>): Promise<void> => {
    await rm(reached(), { force: true });
    await writeFile(modeFile(), mode);
    const called = call();
    called.catch(() => undefined);
    await until('the runtime has come there', LIMIT_MS, () =>
      readFile(reached()).then(
        () => true,
        () => undefined,
      ),
    );
    await rm(modeFile());
    await crid.kill9();
    await assert.rejects(called);
    await crid.start();
    await crid.settled();
  };

  for (const mode of MODES) {
    for (const isStartedAgain of [true, false]) {
      it(`a container, ${mode} its init process is there, ${isStartedAgain ? 'started again' : 'removed at once'}`, async () => {
        const pod = await runPod(crid, stack, {}, 'slow');
        const running = await pod.run();
        const idle = await leaks(stack);
        const id = await pod.create();
        await killIn(mode, () => crid.runtime.startContainer({ container_id: id }));
        await assertTruth(crid, stack);
        const { status } = await crid.runtime.podSandboxStatus({ pod_sandbox_id: pod.id });
        assert.equal(status?.state, PodSandboxState.SANDBOX_READY);
        if (isStartedAgain) await crid.runtime.startContainer({ container_id: id });
        await crid.runtime.removeContainer({ container_id: id });
        await assertLeavesNothing(stack, idle);
        assert.equal((await pod.exec(running, ['echo', 'well'])).stdout, 'well\n');
        await pod.remove();
        await assertLeavesNothing(stack, nothing);
      });
    }
    it(`a pod, ${mode} its init process is there`, async () => {
      const config = await podConfig(stack);
      const request = { config, runtime_handler: 'slow' };
      await killIn(mode, () => crid.runtime.runPodSandbox(request));
      await assertTruth(crid, stack);
      await assertLeavesNothing(stack, nothing);
      const { pod_sandbox_id: id } = await crid.runtime.runPodSandbox(request);
      await crid.runtime.stopPodSandbox({ pod_sandbox_id: id });
      await crid.runtime.removePodSandbox({ pod_sandbox_id: id });
      await assertLeavesNothing(stack, nothing);
    });
  }
});

/**
 * A runc that hangs in `create`, before or after the real create. The hanging process is the one that the shim waits
 * for, or a child.
 */
const slowRunc = (runc: string, dir: string): string => `#!/bin/sh
mode=$(cat ${dir}/mode 2>/dev/null)
case "$mode $*" in
  before*' create '*) touch ${dir}/reached; sleep ${DELAY_S} ;;
  after*' create '*) ${runc} "$@"; touch ${dir}/reached; exec sleep ${DELAY_S} ;;
esac
exec ${runc} "$@"
`;
