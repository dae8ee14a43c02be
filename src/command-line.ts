import { Command } from 'commander';
import { startApp, type App } from './app.js';
import { CriError } from './base/errors.js';
import { loadConfig } from './config/load.js';
import { showConfig } from './config/show.js';
import { createLogger } from './base/log.js';
import { createContainerd } from './containerd/client.js';
import { createFdStore } from './host/systemd/fd-store.js';
import { createSdNotify, type SdNotify } from './host/systemd/sd-notify.js';
import { startWatchdog } from './host/systemd/watchdog.js';
import { VERSION } from './version.js';

interface FileOptions {
  readonly containerdConfig?: string;
  readonly config?: string;
}

const DOCTOR_CALL_LIMIT_MS = 10_000;

const program = new Command('crid')
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
      loadConfig(options).then(
        ({ config }) => app.setLogLevel(config.crid.log_level),
        // An error in the file is logged, and crid keeps its configuration.
        (thrown: unknown) =>
          app.log.error({ err: CriError.from(thrown).message }, 'configuration not read again, the log level stays'),
      );
    });
    const ending = new Promise<void>((resolve) => {
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
    });
    notify({ READY: '1', STATUS: `serving ${app.path}` });
    if (systemd.watchdogIntervalMs) startWatchdog(systemd.watchdogIntervalMs, () => notify({ WATCHDOG: '1' }));
    await ending;
    notify({ STOPPING: '1', STATUS: 'finishing the running calls' });
    await app.stop();
  });

withFiles(
  program
    .command('config')
    .description('commands for the configuration')
    .command('show')
    .description('print the effective value of each option and its source'),
).action(async (options: FileOptions) => {
  process.stdout.write(showConfig(await loadConfig(options)));
});

withFiles(
  program
    .command('why')
    .description('show what a running crid is doing, step by step, and the false conditions of the node')
    .argument('[pod]', 'show only this pod: its id, its name, or NAMESPACE/NAME')
    .option('--socket <socket>', "crid's socket (default: as configured)"),
).action(async (pod: string | undefined, options: FileOptions & { socket?: string }) => {
  // Imported only where needed, so that `serve` starts quickly.
  const [{ withRuntime }, { why }] = await Promise.all([import('./why/why-client.js'), import('./why/why.js')]);
  const socket = options.socket ?? (await loadConfig(options)).config.crid.listen;
  process.stdout.write(await withRuntime(socket, (runtime) => why(runtime, pod)));
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

program
  .command('version')
  .description('print the version')
  .action(() => {
    process.stdout.write(`crid ${VERSION}\n`);
  });

program.parseAsync().then(
  () => process.exit(),
  (thrown: unknown) => fail(thrown),
);

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
