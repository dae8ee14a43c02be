import { parseArgs } from 'node:util';
import { disposeAll, onDispose } from './stack/disposers.js';
import { spokenSteps } from './stack/steps.js';
import { chooseBackend } from './run/backend.js';
import { firstPod } from './run/first-pod.js';
import { serveCrid, type Served } from './run/serve.js';

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const step = spokenSteps((text) => process.stdout.write(text));

/** Whether a pod has run and a signal has asked this program to end. */
let stopping = false;
process.on('exit', (code) => {
  // Ctrl-C is the intended end.
  if (stopping && [SIGINT, SIGTERM].includes(code)) process.exitCode = 0;
});
const SIGINT = 128 + 2;
const SIGTERM = 128 + 15;

try {
  await main();
} catch (thrown) {
  say(`make run: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  await disposeAll();
  process.exit(1);
}

async function main(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('needs root, for containers, mounts and network namespaces');
  const startedMs = performance.now();
  // The first registered undo runs last.
  onDispose('farewell', async () => say('everything that was started is stopped'));
  const { values } = parseArgs({ options: { 'containerd-config': { type: 'string' } } });
  const backend = await chooseBackend(values['containerd-config'], step, say);
  say(`  crid works on ${backend.description}`);
  const served = await step('start crid', () => serveCrid(backend));
  await firstPod(served, backend, step, say);
  const tookS = ((performance.now() - startedMs) / 1000).toFixed(1);
  say(`\nA pod runs on crid, ${tookS} s after the start.\n${directions(served)}`);
  onDispose('announcement', async () => {
    stopping = true;
    say('\nstopping the pod, crid and what else was started');
  });
  // Background processes do not keep this process alive.
  const alive = setInterval(() => undefined, 3_600_000);
  try {
    await keepServing(served);
  } finally {
    clearInterval(alive);
  }
}

/**
 * Waits until a signal asks to stop. Restarts crid over the running pods if a signal has ended it, as a service manager
 * would.
 */
async function keepServing(served: Served): Promise<void> {
  for (;;) {
    const code = await served.ended();
    if (stopping) return;
    if (typeof code === 'number') throw new Error(`crid has ended (${code}), its log was ${served.logFile}`);
    await step(`crid has ended (${code}), start it again over the pods that run`, () => served.restart());
  }
}

function directions({ socket, logFile, pid }: Served): string {
  return `
  socket    unix://${socket}
  crictl    crictl --runtime-endpoint unix://${socket} pods
  kubelet   kubelet --container-runtime-endpoint=unix://${socket}
  log       ${logFile}

Try kill -9 ${pid()}, which is crid: it is started again, and the pods run on. Ctrl-C ends it all.`;
}
