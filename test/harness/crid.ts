import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'smol-toml';
import { logTail, startDaemon, type Daemon } from '../../tools/stack/daemon.js';
import { onDispose } from '../../tools/stack/disposers.js';
import { projectRoot } from '../../tools/stack/project.js';
import { until } from '../../tools/stack/wait.js';
import { criClient, type CriClient } from './cri-client.js';
import { runningOperations } from './operations.js';
import { withSandboxer } from './sandboxer.js';
import type { TestStack } from './test-stack.js';

export interface CridOptions {
  /** crid's own config.toml, as an object: `{ crid: { namespace: 'x' }, runtime: { … } }`. */
  readonly config?: Readonly<Record<string, object>>;
  readonly env?: Readonly<Record<string, string>>;
  /** A config.toml of containerd that replaces the stack's. */
  readonly containerdConfig?: string;
  /** Additional arguments of `crid serve`. */
  readonly args?: readonly string[];
  /** Another program than CRID_TEST_PROGRAM or the checkout's. */
  readonly program?: string;
}

/** A `crid serve` process of this test, over the stack's containerd. */
export interface Crid extends CriClient {
  readonly dir: string;
  readonly logFile: string;
  /** The socket for NRI plugins, unless the options name another one. */
  readonly nriSocket: string;
  pid(): number;
  /** Returns everything that crid has logged since its first start. */
  log(): Promise<string>;
  /** Returns the lines of the log as objects; a line that is not JSON is `{ msg }`. */
  logLines(): Promise<Record<string, unknown>[]>;
  /** Starts crid again on the same socket, after `stop` or `kill9`, and waits until it responds. */
  start(): Promise<void>;
  /** Waits until the leftovers of an earlier crid are undone and swept: the operations of the start have ended. */
  settled(): Promise<void>;
  /** Sends SIGTERM and waits for the end. Returns the exit code, or the signal that ended the process. */
  stop(): Promise<number | string>;
  kill9(): Promise<void>;
  /** `stop` and `start`. */
  restart(): Promise<void>;
  /** Waits until crid ends by itself. */
  ended(): Promise<number | string>;
}

const READY_LIMIT_MS = 240_000;
const STOP_LIMIT_MS = 60_000;

/** Starts crid with only containerd's configuration and `options`, and waits until it responds. */
export async function startCrid(stack: TestStack, options: CridOptions = {}): Promise<Crid> {
  const dir = await mkdtemp(join(stack.dir, 'crid-'));
  const [socket, logFile, config] = [join(dir, 'crid.sock'), join(dir, 'crid.log'), join(dir, 'crid.toml')];
  const own = withSandboxer(options.config, options.containerdConfig === undefined ? ['runc', 'crun'] : ['runc']);
  const nri = nriPaths(dir);
  await writeFile(
    config,
    stringify({ ...own, crid: { log_level: 'debug', ...own['crid'] }, nri: { ...nri, ...own['nri'] } }),
  );
  const client = criClient(socket);
  let daemon: Daemon | undefined;

  const start = async (): Promise<void> => {
    const started = await startDaemon(
      options.program ?? process.env['CRID_TEST_PROGRAM'] ?? join(projectRoot, 'bin', 'crid'),
      [
        ...['serve', '--containerd-config', options.containerdConfig ?? stack.containerd.config],
        ...['--config', config, '--listen', socket, ...(options.args ?? [])],
      ],
      { logFile, env: { ...process.env, ...options.env } },
    );
    daemon = started;
    await ready(started, client, logFile);
  };
  const end = async (signal: NodeJS.Signals): Promise<number | string> => {
    await daemon?.stop(signal, STOP_LIMIT_MS);
    return daemon?.ended ?? 0;
  };
  const dispose = onDispose(`crid ${socket}`, async () => {
    client.close();
    await end('SIGTERM');
  });
  try {
    await start();
  } catch (error) {
    await dispose();
    await rm(dir, { recursive: true });
    throw error;
  }

  const log = (): Promise<string> => readFile(logFile, 'utf8');
  return {
    ...client,
    dir,
    logFile,
    nriSocket: nri.socket_path,
    pid: () => daemon?.pid ?? 0,
    log,
    logLines: async () => (await log()).split('\n').filter(Boolean).map(parseLine),
    start,
    settled: () => settled(client),
    stop: () => end('SIGTERM'),
    kill9: async () => void (await end('SIGKILL')),
    restart: async () => {
      await end('SIGTERM');
      await start();
    },
    ended: () => daemon?.ended ?? Promise.resolve(0),
    close: () => void dispose(),
  };
}

/** Each crid of a stack has its own NRI, because only one of them gets the socket of containerd's configuration. */
const nriPaths = (dir: string) => ({
  socket_path: join(dir, 'nri', 'nri.sock'),
  plugin_path: join(dir, 'nri', 'plugins'),
  plugin_config_path: join(dir, 'nri', 'conf.d'),
});

const ready = (daemon: Daemon, { runtime, socket }: CriClient, logFile: string): Promise<true> =>
  until(`crid answers on ${socket}`, READY_LIMIT_MS, async () => {
    if (daemon.hasEnded()) return false;
    await runtime.version({});
    return true;
  }).then((answers) => {
    if (!answers) throw new Error(`crid has ended:\n${logTail(logFile)}`);
    return answers;
  });

const RECOVERY = [
  'read images',
  'recover pod sandbox',
  'recover container',
  'undo pod sandbox',
  'release pulls',
  'sweep leftovers',
];
const SETTLE_LIMIT_MS = 120_000;

const settled = async ({ runtime }: CriClient): Promise<void> => {
  await until('the operations of the start have ended', SETTLE_LIMIT_MS, async () =>
    (await runningOperations(runtime)).some(({ kind }) => RECOVERY.includes(kind)) ? undefined : true,
  );
};

function parseLine(line: string): Record<string, unknown> {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return { msg: line };
  }
}
