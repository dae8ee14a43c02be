import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { until } from '../../../tools/stack/wait.js';
import { limitMs } from '../../harness/slowness.js';
import type { KubeletSuite } from '../suite.js';

const ROTATION_LIMIT_MS = 120_000;
/** Writes lines until the file /tmp/enough exists, however long the rotations take. */
const WRITER = `i=0
  until [ -e /tmp/enough ]; do
    i=$((i + 1)); echo "line $i ................................................"
    [ $((i % 50)) -eq 0 ] && sleep 0.2
  done
  echo "line $((i + 1)) is the last"
  trap "exit 0" TERM; while :; do echo "still here"; sleep 1; done`;

/** The kubelet configuration that `logTests` needs. */
export const LOG_ROTATION = {
  containerLogMaxSize: '64Ki',
  containerLogMaxFiles: 10,
  containerLogMonitorInterval: '3s',
};

export function logTests(suite: KubeletSuite): void {
  it('has its log rotated by the kubelet, and loses no line', async () => {
    const pod = await suite.pod('rotation', { containers: [{ name: 'main', script: WRITER }] });
    const id =
      (await pod.ready(), (await suite.pods()).find(({ metadata }) => metadata.name === pod.name)?.metadata.uid);
    const folder = join(suite.kubelet.podLogs, `default_${pod.name}_${id}`, 'main');
    await until(`${folder} has rotated logs`, limitMs(ROTATION_LIMIT_MS), async () => {
      const names = await readdir(folder);
      const rotated = names.some((name) => name.endsWith('.gz')) && names.length >= 3;
      return (rotated && names.includes('0.log')) || undefined;
    });
    await pod.run('main', 'touch /tmp/enough');
    const all = await until(`all lines are in ${folder}`, limitMs(ROTATION_LIMIT_MS), async () => {
      const text = await wholeLog(folder);
      return text.includes(' is the last\n') ? text : undefined;
    });
    const numbers = [...all.matchAll(/ stdout F line (\d+) /g)].map(([, number]) => Number(number));
    assert.deepEqual(
      numbers,
      Array.from(numbers, (_, index) => index + 1),
    );
    await pod.logged('main', /^still here\n$/, '?tailLines=1');
  });
}

/** Returns the contents of all files of a container's log, oldest first. Their names contain the time of rotation. */
async function wholeLog(folder: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) => name !== '0.log' && !name.endsWith('.tmp')).sort();
  const texts = await Promise.all(
    [...names, '0.log'].map(async (name) => {
      const bytes = await readFile(join(folder, name));
      return (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString();
    }),
  );
  return texts.join('');
}
