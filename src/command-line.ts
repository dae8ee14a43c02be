import nodeModule from 'node:module';
import { Command, InvalidArgumentError, Option } from 'commander';
import { startApp, type App } from './app.js';
import { CriError } from './base/errors.js';
import { loadBaseSpecs } from './config/load-base-spec.js';
import { loadConfig } from './config/load.js';
import { showConfig } from './config/show.js';
import { createLogger } from './base/log.js';
import { createContainerd } from './containerd/client.js';
import { createFdStore } from './host/systemd/fd-store.js';
import { createSdNotify, type SdNotify } from './host/systemd/sd-notify.js';
import { startWatchdog } from './host/systemd/watchdog.js';
import { checkRuntimeOptions } from './runtime/check-options.js';
import { reportReload } from './runtime/reload.js';
import type { TraceOptions } from './trace/trace.js';
import { VERSION } from './version.js';

interface FileOptions {
  readonly containerdConfig?: string;
  readonly config?: string;
}

interface MoveOptions {
  readonly check?: boolean;
  readonly toCrid?: boolean;
  readonly back?: boolean;
  readonly yes: boolean;
}

const DOCTOR_CALL_LIMIT_MS = 10_000;
/** The width of output that does not go to a terminal. */
const TEXT_COLUMNS = 120;

/** All commands with their arguments and options. The manual page and the completion are made of it too. */
export const program = new Command('crid')
  .description('A Kubernetes CRI server over an existing containerd 2.x')
  .version(VERSION, '--version', 'print the version');

const withFiles = (command: Command): Command =>
  command
    .option(
      '--containerd-config <file>',
      "containerd's config.toml (default: /etc/containerd/config.toml if it exists)",
    )
    .option(
      '--config <file>',
      "crid's config.toml, which overrides containerd's key by key (default: /etc/crid/config.toml if it exists)",
    );

withFiles(program.command('serve').description('serve the CRI on a unix socket'))
  .option('--listen <socket>', 'the socket, as unix:///PATH or /PATH')
  .action(async (options: FileOptions & { listen?: string }) => {
    const systemd = createSdNotify(process.env);
    const fdStore = createFdStore(systemd, process.env);
    const app = await startApp(await loadConfig(options), fdStore);
    const notify = notifier(app, systemd);
    process.on('SIGHUP', () => {
      const report = (outcome: Parameters<typeof reportReload>[1]): void =>
        notify({ STATUS: `serving ${app.path}; ${reportReload(app.log, outcome)}` });
      app.reload(() => loadConfig(options)).then(report, (thrown: unknown) => report(CriError.from(thrown)));
    });
    const ending = new Promise<void>((resolve) => {
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
    });
    notify({ READY: '1', STATUS: `serving ${app.path}` });
    if (systemd.watchdogIntervalMs) startWatchdog(systemd.watchdogIntervalMs, () => notify({ WATCHDOG: '1' }));
    writeCompileCache();
    await ending;
    notify({ STOPPING: '1', STATUS: 'finishing the running calls' });
    await app.stop();
  });

const config = program.command('config').description('commands for the configuration');

withFiles(config.command('show').description('print the effective value of each option and its source')).action(
  async (options: FileOptions) => {
    process.stdout.write(showConfig(await loadConfig(options)));
  },
);

withFiles(config.command('check').description('check the files; print nothing unless they are wrong')).action(
  async (options: FileOptions) => {
    const { config: loaded } = await loadConfig(options);
    checkRuntimeOptions(loaded);
    await loadBaseSpecs(loaded);
  },
);

withFiles(
  config
    .command('diff')
    .description('show what a reload of the running crid would change, and what needs a restart; exit code 1 if any')
    .option('--json', 'print JSON', false)
    .option('--socket <socket>', "crid's socket (default: as configured, or else the default socket)"),
).action(async (options: FileOptions & { socket?: string; json: boolean }) => {
  const { diffToRunning, describeDiff } = await import('./client/config-diff.js');
  const changes = await diffToRunning((await loadConfig(options)).config, options.socket);
  process.stdout.write(options.json ? `${JSON.stringify({ changes }, null, 2)}\n` : describeDiff(changes));
  process.exitCode = changes.length > 0 ? 1 : 0;
});

withFiles(
  program
    .command('why')
    .description('show what a running crid is doing, step by step, and the false conditions of the node')
    .argument('[pod]', 'show only this pod: its id, its name, or NAMESPACE/NAME')
    .option('--socket <socket>', "crid's socket (default: as configured)"),
).action(async (pod: string | undefined, options: FileOptions & { socket?: string }) => {
  // Imported only where needed, so that `serve` starts quickly.
  const [{ withCriClient }, { why }] = await Promise.all([import('./client/cri-client.js'), import('./why/why.js')]);
  const socket = options.socket ?? (await loadConfig(options)).config.crid.listen;
  process.stdout.write(await withCriClient(socket, ({ runtime }) => why(runtime, pod)));
});

withFiles(
  program
    .command('trace')
    .description('show what the last CRI calls became: their steps and calls to containerd, with times')
    .argument('[pod]', 'show only the calls of this pod: its id, its name, or NAMESPACE/NAME')
    .option('--last <calls>', 'show at most so many calls', wholeNumber, 20)
    .option('--follow', 'then print each call when it ends, until Ctrl-C', false)
    .option('--reads', 'with --follow: also calls that change nothing, such as lists', false)
    .option('--json', 'print JSON in the trace event format, for Perfetto', false)
    .option('--html <file>', 'write a page with time lines')
    .option('--socket <socket>', "crid's socket (default: as configured)"),
).action(async (pod: string | undefined, options: FileOptions & { socket?: string } & Omit<TraceOptions, 'pod'>) => {
  const [{ withCriClient }, { trace }] = await Promise.all([
    import('./client/cri-client.js'),
    import('./trace/trace.js'),
  ]);
  const socket = options.socket ?? (await loadConfig(options)).config.crid.listen;
  const terminal = {
    columns: process.stdout.columns ?? TEXT_COLUMNS,
    write: (text: string): void => void process.stdout.write(text),
  };
  await withCriClient(socket, (client) => trace(client, { ...options, pod }, terminal));
});

withFiles(
  program
    .command('doctor')
    .description('check the node: configuration, containerd, runtimes, networks, kernel, socket'),
).action(async (options: FileOptions) => {
  const [{ doctor }, { describeFindings }] = await Promise.all([
    import('./doctor/doctor.js'),
    import('./doctor/finding.js'),
  ]);
  const loaded = await loadConfig(options);
  const { address } = loaded.config.grpc;
  const limits = { defaultTimeoutMs: DOCTOR_CALL_LIMIT_MS, connectTimeoutMs: DOCTOR_CALL_LIMIT_MS };
  const log = createLogger('error');
  const containerd = createContainerd({ address, namespace: loaded.config.crid.namespace, log, ...limits });
  const findings = await doctor(loaded, containerd).finally(() => containerd.close());
  process.stdout.write(describeFindings(findings));
  process.exitCode = findings.some(({ level }) => level === 'fault') ? 1 : 0;
});

withFiles(
  program
    .command('migrate')
    .description("move the node from containerd's CRI plugin to crid, or back; pods go on running")
    .addOption(
      new Option('--check', 'show the node and the plan of the next move').conflicts(['toCrid', 'back', 'yes']),
    )
    .addOption(new Option('--to-crid', 'show the plan of the move to crid').conflicts('back'))
    .option('--back', "show the plan of the move back to containerd's CRI plugin")
    .option('--yes', 'carry the plan out', false),
).action(async (options: FileOptions & MoveOptions) => {
  const { check, toCrid, back, yes } = options;
  if (!check && !toCrid && !back) {
    throw new CriError('INVALID_ARGUMENT', 'migrate: one of --check, --to-crid and --back is needed');
  }
  const [{ migrate }, { createMoveRun }] = await Promise.all([
    import('./migrate/migrate.js'),
    import('./migrate/create-move-run.js'),
  ]);
  const { run, close } = await createMoveRun(options, await loadConfig(options), (line) => {
    process.stdout.write(`${line}\n`);
  });
  await migrate(run, { direction: toCrid ? 'to-crid' : back ? 'back' : undefined, yes }).finally(close);
});

program
  .command('version')
  .description('print the version')
  .action(() => {
    process.stdout.write(`crid ${VERSION}\n`);
  });

/** Runs the command that the process's arguments name, and ends the process. */
export const runCommandLine = (): Promise<never> =>
  program.parseAsync().then(
    () => process.exit(),
    (thrown: unknown) => fail(thrown),
  );

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('expected a whole number from 1 up');
  return Number(text);
}

/** Node.js 22.10 and newer write the cache of compiled code now, and not only at the end: crid may be killed. */
function writeCompileCache(): void {
  (nodeModule as { flushCompileCache?: () => void }).flushCompileCache?.();
}

/** A failed notification to systemd must not stop crid. */
function notifier(app: App, systemd: SdNotify): SdNotify['notify'] {
  return (variables) => {
    try {
      systemd.notify(variables);
    } catch (thrown) {
      app.log.warn({ err: CriError.from(thrown).message }, 'the service manager was not notified');
    }
  };
}

function fail(thrown: unknown): never {
  process.stderr.write(`crid: ${CriError.from(thrown).message}\n`);
  process.exit(1);
}
