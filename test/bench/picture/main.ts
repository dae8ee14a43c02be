import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { NamespaceMode } from '../../../generated/runtime/v1/api.js';
import { disposeAll } from '../../../tools/stack/disposers.js';
import { run } from '../../../tools/stack/exec.js';
import { projectRoot } from '../../../tools/stack/project.js';
import { startStack } from '../../../tools/stack/stack.js';
import { spokenSteps } from '../../../tools/stack/steps.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { pullImage, runPod } from '../../harness/pod.js';
import type { TestStack } from '../../harness/test-stack.js';
import { drawPanels, wholeUsOf, type TraceEvent } from './draw.js';

/**
 * `main.js [FILE]`: starts pods with and without a pause container in turn, takes the one of each kind whose start took
 * the median time, and draws both from `crid trace --json`. The default file is the one of docs/configuration.md.
 */

const ROUNDS = 11;
const LIMIT_MS = 30_000;
const KINDS = [
  { handler: 'runc', title: 'A pod’s start with a pause container' },
  { handler: 'pinned', title: 'A pod’s start without one (sandboxer = "pinned")' },
] as const;
const RUNTIMES = {
  runc: { sandboxer: 'pause' },
  pinned: { runtime_type: 'io.containerd.runc.v2', sandboxer: 'pinned' },
};

const step = spokenSteps((text) => void process.stderr.write(text));
const file = process.argv[2] ?? join(projectRoot, 'docs', 'pictures', 'pod-start.svg');

try {
  const stack = await startStack({ step });
  const config = { crid: { log_level: 'info' }, runtime: { containerd: { runtimes: RUNTIMES } } };
  const crid = await step('start crid', () => startCrid(stack, { config }));
  await pullImage(crid);
  const starts = KINDS.map(() => [] as TraceEvent[][]);
  await step(`start ${ROUNDS} pods of each kind`, async () => {
    // The first round pulls the pause image.
    for (let round = -1; round < ROUNDS; round++) {
      for (const [index, { handler }] of KINDS.entries()) {
        const events = await startOf(crid, stack, handler);
        if (round >= 0) starts[index]?.push(events);
      }
    }
  });
  const panels = KINDS.map(({ title }, index) => ({ title, events: medianOf(starts[index] ?? []) }));
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, drawPanels(panels));
  process.stdout.write(`${file}\n`);
} catch (thrown) {
  process.stderr.write(`${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}\n`);
  process.exitCode = 1;
}
await disposeAll();

/** Runs a pod with one container, and returns what `crid trace` shows of that. */
async function startOf(crid: Crid, stack: TestStack, handler: string): Promise<TraceEvent[]> {
  const linux = { security_context: { namespace_options: { pid: NamespaceMode.CONTAINER } } };
  const pod = await runPod(crid, stack, { linux }, handler);
  await pod.run({ linux });
  const program = join(projectRoot, 'bin', 'crid');
  const text = await run(program, ['trace', pod.id, '--json', '--socket', crid.socket], { timeoutMs: LIMIT_MS });
  await pod.remove();
  return (JSON.parse(text) as { traceEvents: TraceEvent[] }).traceEvents;
}

function medianOf(starts: readonly TraceEvent[][]): TraceEvent[] {
  return [...starts].sort((a, b) => wholeUsOf(a) - wholeUsOf(b))[Math.floor(starts.length / 2)] ?? [];
}
