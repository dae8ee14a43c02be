import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { NamespaceMode } from '../../../generated/runtime/v1/api.js';
import { projectRoot } from '../../../tools/stack/project.js';
import { until } from '../../../tools/stack/wait.js';
import { containerdClients, recordSandbox } from '../../harness/containerd-clients.js';
import { assertLeavesNothing, leaks, NAMESPACE, type Inventory } from '../../harness/leaks.js';
import { runningOperations } from '../../harness/operations.js';
import { podConfig, pullImage, removeAllPods, runPod } from '../../harness/pod.js';
import { testStack, type TestStack } from '../../harness/test-stack.js';
import { prompt } from './calls.js';
import { PHASES, startFaultyCrid, type FaultyCrid } from './faults.js';
import { assertTruth } from './truth.js';

const UNDONE_AT_ONCE = 16;
const UNDO_LIMIT_MS = 60_000;

describe('a start with a half-made pod', { timeout: 300_000 }, () => {
  let stack: TestStack;
  let crid: FaultyCrid;
  let nothing: Inventory;

  before(async () => {
    stack = await testStack();
    crid = await startFaultyCrid(stack);
    await pullImage(crid);
    await (await runPod(crid, stack)).remove();
    nothing = await leaks(stack);
  });
  after(async () => {
    await crid.clearFault();
    await removeAllPods(crid);
    await assertLeavesNothing(stack, nothing);
    await crid.stop();
  });

  const leaveHalfMade = async (): Promise<Awaited<ReturnType<typeof podConfig>>> => {
    const config = await podConfig(stack);
    await crid.setFault('run pod sandbox/record network:before=kill');
    await assert.rejects(crid.runtime.runPodSandbox({ config }));
    // The fault has killed crid. This only waits for its end.
    await crid.kill9();
    return config;
  };

  it('serves while the undo hangs; a run of its name waits for it, one of another name does not', async () => {
    const config = await leaveHalfMade();
    const gate = join(crid.dir, 'go-on');
    await crid.setFault(`undo pod sandbox/mark as unfinished:before=hang=${gate}`);
    await crid.start();
    const kinds = (await runningOperations(crid.runtime)).map(({ kind }) => kind);
    assert.ok(kinds.includes('undo pod sandbox'), kinds.join());
    const { items } = await crid.runtime.listPodSandbox({}, prompt());
    assert.deepEqual(items, [], 'a kubelet that saw the half-made pod would replace it');
    const retried = crid.runtime.runPodSandbox({ config });
    const other = await runPod(crid, stack);
    assert.ok((await runningOperations(crid.runtime)).some(({ kind }) => kind === 'run pod sandbox'));
    await crid.clearFault();
    await writeFile(gate, '');
    const { pod_sandbox_id: id } = await retried;
    await crid.settled();
    await assertTruth(crid, stack);
    await crid.runtime.removePodSandbox({ pod_sandbox_id: id });
    await other.remove();
    await assertLeavesNothing(stack, nothing);
  });

  for (const step of ['mark as unfinished', 'remove pod sandbox']) {
    for (const phase of PHASES) {
      it(`is killed ${phase} its undo's step "${step}", and the next start completes it`, async () => {
        await leaveHalfMade();
        await crid.setFault(`undo pod sandbox/${step}:${phase}=kill`);
        // crid may be killed before its first response.
        await crid.start().catch(() => undefined);
        await crid.revive();
        await assertTruth(crid, stack);
        await assertLeavesNothing(stack, nothing);
      });
    }
  }

  it('undoes sixteen half-made pods at a time', async () => {
    await crid.stop();
    const clients = containerdClients(stack.containerd.socket, NAMESPACE);
    const security_context = { namespace_options: { network: NamespaceMode.NODE } };
    for (let index = 0; index <= UNDONE_AT_ONCE; index += 1) {
      const config = await podConfig(stack, { linux: { security_context } });
      await recordSandbox(clients, randomBytes(32).toString('hex'), config, { 'io.crid.creating': 'true' });
    }
    clients.close();
    const gate = join(crid.dir, 'undo-all');
    const step = 'mark as unfinished';
    await crid.setFault(`undo pod sandbox/${step}:before=hang=${gate}`);
    await crid.start();
    const undos = async () => (await runningOperations(crid.runtime)).filter(({ kind }) => kind === 'undo pod sandbox');
    const begun = (operations: Awaited<ReturnType<typeof undos>>): number =>
      operations.filter(({ steps }) => steps.some(({ name }) => name === step)).length;
    const all = await until('undos have begun', UNDO_LIMIT_MS, async () => {
      const operations = await undos();
      return begun(operations) >= UNDONE_AT_ONCE ? operations : undefined;
    });
    assert.deepEqual([all.length, begun(all)], [UNDONE_AT_ONCE + 1, UNDONE_AT_ONCE]);
    await crid.clearFault();
    await writeFile(gate, '');
    await crid.settled();
    await assertTruth(crid, stack);
    await assertLeavesNothing(stack, nothing);
  });

  it('refuses a second crid in the namespace, with the pid of the first', async () => {
    const second = spawn(
      join(projectRoot, 'bin', 'crid'),
      ['serve', '--containerd-config', stack.containerd.config, '--listen', join(crid.dir, 'second.sock')],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let errors = '';
    second.stderr.on('data', (data: Buffer) => void (errors += data.toString()));
    assert.deepEqual(await once(second, 'close'), [1, null]);
    assert.match(errors, new RegExp(`in use by another crid, pid ${crid.pid()} `));
  });
});
