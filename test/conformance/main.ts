import { join } from 'node:path';
import { ensureGoTool, CRI_TOOLS } from '../../tools/stack/gotools.js';
import { projectRoot } from '../../tools/stack/project.js';
import { startStack, type Stack } from '../../tools/stack/stack.js';
import { spokenSteps } from '../../tools/stack/steps.js';
import { startCrid } from '../harness/crid.js';
import { parseOptions, type Options } from './options.js';
import { describeReport, type Report } from './report.js';
import { runSuite } from './suite.js';

const say = (text: string): void => void process.stderr.write(text);
const step = spokenSteps(say);

try {
  const options = parseOptions(process.argv.slice(2));
  const report = await conformance(options);
  process.stdout.write(`${describeReport(report)}\n`);
  const passes = report.failed.length === 0 && report.passed.length > 0;
  process.exitCode = passes ? 0 : 1;
} catch (thrown) {
  say(`conformance: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  process.exitCode = 1;
}

async function conformance(options: Options): Promise<Report> {
  if (process.getuid?.() !== 0) throw new Error('needs root: it starts a containerd, and pods with networks');
  say(`critest ${CRI_TOOLS.version} against ${options.server === 'crid' ? 'crid' : "containerd's own CRI plugin"}\n`);
  const stack = await startStack({ cri: options.server === 'reference', step });
  try {
    const critest = await step('build critest', () => ensureGoTool(stack.layout, 'critest'));
    const server = await serve(options, stack);
    try {
      const folder = join(projectRoot, 'build', 'conformance', options.server);
      const { report, log } = await step('run critest (a minute or two)', () =>
        runSuite({ ...options, critest, socket: server.socket, folder }),
      );
      say(`  its log: ${log}\n\n`);
      return report;
    } finally {
      await server.stop().catch((error: unknown) => say(`  stop: ${String(error)}\n`));
    }
  } finally {
    await step('clean up', () => stack.dispose());
  }
}

interface Server {
  readonly socket: string;
  stop(): Promise<unknown>;
}

async function serve({ server }: Options, stack: Stack): Promise<Server> {
  if (server === 'crid') return step('start crid', () => startCrid(stack, { config: { crid: { log_level: 'info' } } }));
  return { socket: stack.containerd.socket, stop: () => Promise.resolve() };
}
