import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { ContainerState } from '../../../generated/runtime/v1/api.js';
import { until } from '../../../tools/stack/wait.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { criClient, type CriClient } from '../../harness/cri-client.js';
import { pullImage, removeAllPods, runPod, type RunningPod } from '../../harness/pod.js';
import { startStack, type Stack } from '../../harness/test-stack.js';

/**
 * Compares the logs of the same containers on crid and on containerd's own CRI plugin. They must be equal except for
 * times.
 */

const WAIT_LIMIT_MS = 30_000;
/** max_container_log_line_size, small so that many lines exceed it. */
const LINE_BYTES = 64;
const exactly = (bytes: number): string => `head -c ${bytes} /dev/zero | tr '\\0' x`;

const CASES: readonly { name: string; script: string; tty?: boolean }[] = [
  { name: 'lines, empty ones and spaces', script: 'echo one; echo; echo "  two  "; echo "a\tb"' },
  { name: 'a last line without its newline', script: 'echo one; printf end' },
  { name: 'nothing at all', script: 'true' },
  { name: 'both streams', script: 'echo out; echo err >&2; printf last >&2' },
  {
    name: 'lines as long as allowed, one shorter, one longer, twice as long',
    script: [LINE_BYTES, LINE_BYTES - 1, LINE_BYTES + 1, 2 * LINE_BYTES, 2 * LINE_BYTES + 1]
      .map((bytes) => `${exactly(bytes)}; echo`)
      .join('; '),
  },
  { name: 'a long last line without its newline', script: exactly(3 * LINE_BYTES) },
  {
    name: 'every byte but the newline',
    script: 'awk \'BEGIN { for (i = 0; i < 256; i++) if (i != 10) printf "%c", i }\'; echo',
  },
  { name: 'carriage returns', script: "printf 'a\\r\\nb\\rc\\n\\r\\n\\r\\r\\nd\\r'" },
  {
    name: 'a carriage return where a long line is cut',
    script: `${exactly(LINE_BYTES)}; printf '\\r\\n'; ${exactly(LINE_BYTES - 1)}; printf '\\r\\n'`,
  },
  { name: 'many lines', script: 'seq 1 20000' },
  { name: 'one line of 1 MiB', script: `${exactly(1024 * 1024)}; echo; echo after` },
  { name: 'a terminal', script: 'echo one; echo two >&2; printf end', tty: true },
];

interface Side {
  readonly cri: CriClient;
  readonly pod: RunningPod;
}

let stack: Stack;
let crid: Crid;
let sides: { reference: Side; crid: Side };

before(async () => {
  stack = await startStack({ cri: true, runtime: { max_container_log_line_size: LINE_BYTES } });
  crid = await startCrid(stack, { config: { crid: { namespace: 'crid-logs' } } });
  const reference = criClient(stack.containerd.socket);
  for (const cri of [reference, crid]) await pullImage(cri);
  sides = {
    reference: { cri: reference, pod: await runPod(reference, stack) },
    crid: { cri: crid, pod: await runPod(crid, stack) },
  };
});
after(async () => {
  for (const { cri } of Object.values(sides)) await removeAllPods(cri);
  sides.reference.cri.close();
  await crid.stop();
  await stack.dispose();
});

for (const { name, script, tty = false } of CASES) {
  test(`as containerd writes it: ${name}`, async () => {
    const [expected, actual] = [await logOf(sides.reference, script, tty), await logOf(sides.crid, script, tty)];
    assert.deepEqual(actual, expected);
    assert.equal(expected.stdout.length + expected.stderr.length > 0, name !== 'nothing at all');
  });
}

let count = 0;

/** Returns the text after the time in each line, by stream, because the order between the streams is random. */
async function logOf(
  { cri, pod }: Side,
  script: string,
  tty: boolean,
): Promise<{ stdout: string[]; stderr: string[] }> {
  const name = `format-${(count += 1)}`;
  const id = await pod.run({ name, command: ['sh', '-c', script], tty });
  await until(`${name} ends`, WAIT_LIMIT_MS, async () => {
    const { status } = await cri.runtime.containerStatus({ container_id: id });
    return status?.state === ContainerState.CONTAINER_EXITED || undefined;
  });
  const path = pod.logPath(name);
  let text = await readFile(path, 'latin1');
  // containerd reports that a container has ended before its log is complete.
  await until(`${path} is complete`, WAIT_LIMIT_MS, async () => {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const last = text;
    text = await readFile(path, 'latin1');
    return text === last || undefined;
  });
  await cri.runtime.removeContainer({ container_id: id });
  assert.ok(text === '' || text.endsWith('\n'), 'the log ends with a newline');
  const lines = text.split('\n').slice(0, -1).map(withoutTime);
  const of = (stream: string): string[] => lines.filter((line) => line.startsWith(`${stream} `));
  const streams = { stdout: of('stdout'), stderr: of('stderr') };
  assert.equal(streams.stdout.length + streams.stderr.length, lines.length);
  return streams;
}

function withoutTime(line: string): string {
  const [, rest] = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{0,8}[1-9])?(?:Z|[+-]\d\d:\d\d) (.*)$/s.exec(line) ?? [];
  assert.ok(rest !== undefined, `begins with a time: ${line.slice(0, 60)}`);
  return rest;
}
