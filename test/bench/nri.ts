import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withResolvers } from '../../src/base/async.js';
import { withLimit } from '../../src/base/time.js';
import { onDispose } from '../../tools/stack/disposers.js';
import { connectPlugin } from '../../src/nri-plugin/index.js';
import { criClient } from '../harness/cri-client.js';
import { ensureGoProgram } from '../harness/go-program.js';
import { createBench, createContainer, removePod, runPod, type Bench, type Part } from './bench.js';
import { of, onEach, type Each, type Side } from './side.js';

const NRI = 'v0.12.5';
const LIMIT_MS = 30_000;
const operation = (what: string): string => `pod start with NRI (${what})`;
const OFF = operation('off');
/** The operation for each number of plugins. */
const COUNTS: readonly (readonly [plugins: number, operation: string])[] = [
  [0, operation('no plugin')],
  [1, operation('1 plugin')],
  [5, operation('5 plugins')],
];

/** Starts of pods beside a plugin that is not asked about them: it does nothing, and then it hangs over another pod. */
const BESIDE = [operation('a plugin of other pods, idle'), operation('a plugin of other pods, hanging')] as const;
const WATCHED = 'watched';

/**
 * Measures the start of a pod with one container beside plugins over upstream's stub, which take each event and add a
 * variable to each container. containerd always has NRI on; without plugins that costs it next to nothing.
 *
 * The last two operations compare crid with itself: the plugin that hangs, which containerd does not have, must not
 * change the p95 of pods that it does not look at.
 */
export const nri: Part = {
  name: 'nri',
  operations: [OFF, ...COUNTS.map(([, name]) => name), ...BESIDE],
  isSlow: true,
  async run(bench) {
    const { servers } = bench;
    const folder = join(servers.folder, 'nri');
    await mkdir(folder, { recursive: true });
    const socket = join(folder, 'nri.sock');
    const paths = { socket_path: socket, plugin_path: join(folder, 'none') };
    const start = (name: string, enabled: boolean): Promise<Side> =>
      servers.startCrid('candidate', name, { nri: { enabled, ...paths } });
    const withSide = (candidate: Side): Bench =>
      createBench(servers, { ...bench, sides: { reference: bench.sides.reference, candidate } });

    await measure(bench, withSide(await start('nri off', false)), OFF);
    const inner = withSide(await start('nri on', true));
    const plugins: ChildProcess[] = [];
    const kill = onDispose('NRI plugins', async () => {
      for (const plugin of plugins) plugin.kill('SIGKILL');
    });
    let running = 0;
    for (const [count, name] of COUNTS) {
      for (; running < count; running++)
        for (const path of [servers.stack.containerd.nriSocket, socket])
          plugins.push(await startPlugin(folder, path, running));
      await measure(bench, inner, name);
    }
    await kill();
    await besideHanging(bench, withSide);
  },
};

async function besideHanging(bench: Bench, withSide: (candidate: Side) => Bench): Promise<void> {
  const { servers } = bench;
  const socketPath = join(servers.folder, 'nri', 'beside.sock');
  const policy = { request_timeout: '1h', exempt_namespaces: ['bench'] };
  const config = { socket_path: socketPath, plugin_path: join(servers.folder, 'nri', 'none') };
  const candidate = await servers.startCrid('candidate', 'nri beside', {
    nri: { enabled: true, ...config, plugins: { hanging: policy } },
  });
  const inner = withSide(candidate);
  const asked = withResolvers();
  const plugin = await connectPlugin(
    {
      createContainer: () => {
        asked.resolve();
        return new Promise<void>(() => undefined);
      },
    },
    { name: 'hanging', index: '10', socketPath },
  );
  let isClosed = false;
  void plugin.closed.then(() => (isClosed = true));
  const closePlugin = onDispose('the NRI plugin that hangs', () => plugin.close());
  await measure(bench, inner, BESIDE[0]);
  const { runtime, close } = criClient(candidate.socket);
  const watched = await createIn(inner, { ...candidate, runtime }, WATCHED);
  await withLimit(asked.promise, LIMIT_MS, (): never => {
    throw new Error('the plugin that hangs is not asked');
  });
  await measure(bench, inner, BESIDE[1]);
  if (isClosed) throw new Error('the plugin that hangs has been disconnected');
  await closePlugin();
  await watched.ended;
  await runtime.stopPodSandbox({ pod_sandbox_id: watched.podId });
  await runtime.removePodSandbox({ pod_sandbox_id: watched.podId });
  close();
}

/** Runs a pod in a namespace, and begins to create a container in it. */
async function createIn(bench: Bench, side: Side, namespace: string) {
  const config = bench.requests(side).pod();
  const pod = { ...config, metadata: { ...config?.metadata, namespace } };
  const { pod_sandbox_id: podId } = await side.runtime.runPodSandbox({ config: pod });
  const ended = createContainer(bench, side, { id: podId, config: pod }, 'main').catch(() => undefined);
  return { podId, ended };
}

async function measure(bench: Bench, inner: Bench, name: string): Promise<void> {
  await onEach(inner.sides, (side) => side.images.pullImage({ image: { image: inner.images.warm } }));
  await bench.step(name, async () => {
    for (let round = -2; round < bench.rounds; round++) {
      const pods: Each<string> = await inner.recorder.pair(
        name,
        async (side) => {
          const pod = await runPod(inner, side);
          const id = await createContainer(inner, side, pod, 'main');
          await side.runtime.startContainer({ container_id: id });
          return pod.id;
        },
        { kept: round >= 0 },
      );
      await onEach(inner.sides, (side) => removePod(side, of(pods, side)), round + 2);
    }
  });
  bench.recorder.adopt(inner.recorder);
}

/** Resolves when the plugin knows the state of the node. */
async function startPlugin(folder: string, socket: string, index: number): Promise<ChildProcess> {
  const program = await ensureGoProgram('nri-adjuster', { 'github.com/containerd/nri': NRI });
  const adjustment = join(folder, `adjustment-${index}.json`);
  await writeFile(adjustment, JSON.stringify({ env: [{ key: `NRI_${index}`, value: 'seen' }] }));
  const args = ['-adjust', adjustment, '-socket', socket, '-index', String(10 + index)];
  const plugin = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  await once(plugin.stdout, 'data', { signal: AbortSignal.timeout(LIMIT_MS) });
  plugin.stdout.resume();
  return plugin;
}
