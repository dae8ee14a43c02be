import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { freePort } from '../../../tools/stack/ports.js';
import { until } from '../../../tools/stack/wait.js';
import { startCrid } from '../../harness/crid.js';
import { pullImage, runPod } from '../../harness/pod.js';
import { testStack } from '../../harness/test-stack.js';

const COUNTED_WITHIN_MS = 10_000;

test('a rejection without an owner and an exception outside of any call are logged and counted, and crid continues', async (t) => {
  const stack = await testStack();
  const faults = join(stack.dir, `faults-unhandled-${process.pid}`);
  const port = await freePort();
  const crid = await startCrid(stack, {
    config: { crid: { metrics_address: `127.0.0.1:${port}` } },
    env: { CRID_FAULT: `@${faults}` },
  });
  t.after(async () => {
    await crid.stop();
    crid.close();
  });
  const pid = crid.pid();
  await pullImage(crid);
  await writeFile(faults, 'run pod sandbox/add network:before=reject,run pod sandbox/add network:after=throw');
  const pod = await runPod(crid, stack);
  await writeFile(faults, '');
  const { stdout } = await pod.exec(await pod.run(), ['echo', 'served']);
  await pod.remove();
  const counted = await until('both are counted', COUNTED_WITHIN_MS, async () => {
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    return /^crid_unhandled_errors_total 2$/m.exec(metrics)?.[0];
  });
  const told = (await crid.logLines())
    .filter(({ msg }) => msg === 'unhandled error, crid continues')
    .map(({ err, origin, stack: text }) => [err, origin, /\.js:\d+:\d+\)/.test(String(text))]);
  assert.deepEqual(
    [stdout, crid.pid(), counted, told],
    [
      'served\n',
      pid,
      'crid_unhandled_errors_total 2',
      [
        ['fault injected at run pod sandbox: add network', 'unhandledRejection', true],
        ['fault injected at run pod sandbox: add network', 'uncaughtException', true],
      ],
    ],
  );
});
