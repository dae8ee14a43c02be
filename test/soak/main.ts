import { Command, InvalidArgumentError } from 'commander';
import { disposeAll } from '../../tools/stack/disposers.js';
import { spokenSteps } from '../../tools/stack/steps.js';
import { startCrid } from '../harness/crid.js';
import { watchExecs } from '../harness/exec-watch.js';
import { NAMESPACE } from '../harness/leaks.js';
import { pullImage, runPod } from '../harness/pod.js';
import { startStack } from '../harness/test-stack.js';
import { heapOf, heapOptions } from './heap.js';
import { createLooker } from './look.js';
import { soakParts } from './parts.js';
import { soak, table } from './soak.js';

/** Repeats the operations of probes and users thousands of times, and fails if anything grows. */

interface Options {
  readonly execs: number;
  readonly attaches: number;
  readonly failing: number;
  readonly killed: number;
}

const options = new Command('soak')
  .description('Repeats ExecSync, attach and exec thousands of times; fails when memory, descriptors or processes grow')
  .option('--execs <n>', 'ExecSync', wholeNumber, 10_000)
  .option('--attaches <n>', 'attach and detach', wholeNumber, 10_000)
  .option('--failing <n>', 'terminal execs of a command that does not exist', wholeNumber, 3_000)
  .option('--killed <n>', 'execs whose client goes', wholeNumber, 3_000)
  .parse()
  .opts<Options>();

const step = spokenSteps((text) => void process.stderr.write(text));
const stack = await startStack({ step });
const crid = await startCrid(stack, { config: { crid: { log_level: 'warn' } }, ...heapOptions(stack.dir) });
const watch = await watchExecs(stack.containerd.socket, NAMESPACE);
try {
  await pullImage(crid);
  const parts = await soakParts(crid, await runPod(crid, stack));
  const looker = await createLooker({
    stack,
    crid,
    watch,
    heap: heapOf(crid, stack.dir),
    containerdPid: stack.containerd.pid(),
  });
  const counts: [keyof typeof parts, number][] = [
    ['execSync', options.execs],
    ['attach', options.attaches],
    ['failing', options.failing],
    ['killed', options.killed],
  ];
  for (const [key, count] of counts) {
    if (count === 0) continue;
    const result = await step(`${count} times ${parts[key].name}`, () => soak(looker, parts[key], count));
    process.stdout.write(`\n${table(result)}\n\n`);
    for (const what of result.grown) process.stdout.write(`grown: ${what}\n`);
    if (result.grown.length > 0) process.exitCode = 1;
  }
} finally {
  watch.close();
  await disposeAll();
}

function wholeNumber(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('expected a whole number from 0 to 999999');
  return Number(text);
}
