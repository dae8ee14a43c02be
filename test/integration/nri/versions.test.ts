import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { until } from '../../../tools/stack/wait.js';
import { ensureGoPackage, ensureGoProgram } from '../../harness/go-program.js';
import { runPod } from '../../harness/pod.js';
import { startSuite } from '../rpc/suite.js';

/** Plugins over the stubs of four releases of NRI, all at one crid. */

const NRI = 'github.com/containerd/nri';
const LIMIT_MS = 30_000;
/** The events that stubs before NRI 0.12 get as a StateChange, and those that NRI 0.8 does not know. */
const VERSIONS = [
  { version: 'v0.8.0', index: '10', getsStateChange: true, knowsPodUpdates: false },
  { version: 'v0.11.0', index: '20', getsStateChange: true, knowsPodUpdates: true },
  { version: 'v0.12.2', index: '30', getsStateChange: false, knowsPodUpdates: true },
] as const;

const suite = startSuite({
  async crid(stack) {
    const adjuster = await ensureGoPackage(`${NRI}/plugins/ulimit-adjuster`, { [NRI]: 'v0.4.0' });
    const plugins = join(stack.dir, 'versions', 'plugins');
    await mkdir(plugins, { recursive: true });
    await symlink(adjuster, join(plugins, '40-ulimit-adjuster'));
    // A busy machine is not what these tests are about.
    return { config: { nri: { plugin_path: plugins, plugin_request_timeout: '20s' } } };
  },
});

type Told = Readonly<Partial<Record<'event' | 'pod' | 'container', string>>>;
const told = new Map<string, Told[]>();
const plugins: ChildProcess[] = [];
after(() => plugins.forEach((plugin) => plugin.kill()));

const variableOf = (version: string): string => `NRI_${version.replaceAll('.', '_')}`;

async function startPlugin({ version, index }: (typeof VERSIONS)[number]): Promise<void> {
  const program = await ensureGoProgram('nri-events', { [NRI]: version });
  const args = ['-name', 'events', '-idx', index, '-socket', suite.crid.nriSocket, '-set', variableOf(version)];
  const plugin = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  plugins.push(plugin);
  const events: Told[] = [];
  told.set(version, events);
  let rest = '';
  plugin.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    events.push(...lines.map((line) => JSON.parse(line) as Told));
  });
  await until(`the plugin over ${version} is synchronized`, LIMIT_MS, () => (events.length > 0 ? true : undefined));
}

let starting: Promise<unknown> | undefined;
/** The hooks of a file run side by side, so the plugins start in the first test, when crid serves. */
const pluginsReady = (): Promise<unknown> => (starting ??= Promise.all(VERSIONS.map(startPlugin)));

test('plugins over old and new stubs get each event of a pod once, in order, and each adjusts the container', async () => {
  await pluginsReady();
  const { runtime } = suite.crid;
  const pod = await runPod(suite.crid, suite.stack);
  const id = await pod.run();
  const variables = VERSIONS.map(({ version }) => variableOf(version));
  const { stdout } = await pod.exec(id, ['sh', '-c', `echo ${variables.map((name) => `$${name}`).join(' ')}`]);
  assert.equal(stdout.trim(), VERSIONS.map(() => 'set').join(' '));
  await runtime.updateContainerResources({ container_id: id, linux: { cpu_shares: 300n } });
  await runtime.updatePodSandboxResources({ pod_sandbox_id: pod.id, resources: { cpu_shares: 400n } });
  await runtime.stopContainer({ container_id: id, timeout: 1n });
  await runtime.removeContainer({ container_id: id });
  await pod.remove();
  const ofContainer = { pod: pod.id, container: id };
  for (const { version, knowsPodUpdates } of VERSIONS) {
    const events = (): Told[] => told.get(version)!.filter((each) => each.pod === pod.id);
    await until(`${version} is told all`, LIMIT_MS, () => events().at(-1)?.event === 'RemovePodSandbox' || undefined);
    assert.deepEqual(
      events(),
      [
        { event: 'RunPodSandbox', pod: pod.id },
        { event: 'CreateContainer', ...ofContainer },
        { event: 'PostCreateContainer', ...ofContainer },
        { event: 'StartContainer', ...ofContainer },
        { event: 'PostStartContainer', ...ofContainer },
        { event: 'UpdateContainer', ...ofContainer },
        { event: 'PostUpdateContainer', ...ofContainer },
        ...(knowsPodUpdates
          ? [
              { event: 'UpdatePodSandbox', pod: pod.id },
              { event: 'PostUpdatePodSandbox', pod: pod.id },
            ]
          : []),
        { event: 'StopContainer', ...ofContainer },
        { event: 'RemoveContainer', ...ofContainer },
        { event: 'StopPodSandbox', pod: pod.id },
        { event: 'RemovePodSandbox', pod: pod.id },
      ],
      version,
    );
  }
});

test('only plugins over stubs before NRI 0.12 get StateChange', async () => {
  await pluginsReady();
  await (await runPod(suite.crid, suite.stack)).remove();
  const lines = await suite.crid.logLines();
  const lacking = lines.filter(
    ({ msg, call }) => msg === 'the NRI plugin has no such method' && call === 'RunPodSandbox',
  );
  assert.deepEqual(
    new Set(lacking.map(({ plugin }) => plugin)),
    new Set(VERSIONS.filter((each) => each.getsStateChange).map(({ index }) => `${index}-events`)),
  );
});

test('the unmodified ulimit-adjuster of NRI v0.4.0, which crid launches, sets the limits of its annotation', async () => {
  const limits = JSON.stringify([{ type: 'RLIMIT_NOFILE', soft: 66, hard: 77 }]);
  const pod = await runPod(suite.crid, suite.stack, {
    annotations: { 'ulimits.nri.containerd.io/container.limited': limits },
  });
  const ulimit = async (name: string): Promise<string> => {
    const { stdout } = await pod.exec(await pod.run({ name }), ['sh', '-c', 'ulimit -n; ulimit -Hn']);
    return stdout.trim();
  };
  assert.equal(await ulimit('limited'), '66\n77');
  assert.notEqual(await ulimit('other'), '66\n77');
});
