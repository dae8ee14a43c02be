import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createChannel, createClient } from 'nice-grpc';
import { ImageServiceDefinition, RuntimeServiceDefinition } from '../../generated/runtime/v1/api.js';
import { logTail, startDaemon } from '../../tools/stack/daemon.js';
import { onDispose } from '../../tools/stack/disposers.js';
import { projectRoot } from '../../tools/stack/project.js';
import { startStack } from '../../tools/stack/stack.js';
import type { Step } from '../../tools/stack/steps.js';
import { until } from '../../tools/stack/wait.js';
import { requireNothingLeft, removeAllPods } from './clean-up.js';
import type { Options } from './options.js';
import type { Both, Side } from './side.js';

/** crid's namespace in the containerd that both share. */
export const CRID_NAMESPACE = 'crid-bench';

const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
const READY_LIMIT_MS = 20_000;
const STOP_LIMIT_MS = 30_000;

/** Both servers on one containerd. */
export interface Servers {
  readonly sides: Both<Side>;
  readonly pids: { readonly containerd: number; readonly crid: number | undefined };
  readonly images: { readonly warm: string; readonly cold: string };
  /** For logs and whatever else lasts as long as the servers. */
  readonly folder: string;
  /** Removes every pod, checks that nothing is left of them, and stops what was started. */
  stop(): Promise<void>;
}

export async function startServers(options: Options, step: Step): Promise<Servers> {
  // With its network namespaces below its own folder, whatever either server leaves mounted is found there.
  const stack = await startStack({ cri: true, runtime: { netns_mounts_under_state_dir: true }, step });
  const folder = join(stack.dir, 'bench');
  await mkdir(folder, { recursive: true });
  const reference = side('reference', 'containerd', stack.containerd.socket);
  const crid = options.self ? undefined : await startCrid(options, folder, stack.containerd.config);
  const candidate = crid
    ? side('candidate', 'crid', crid.socket)
    : side('candidate', 'containerd again', stack.containerd.socket);
  const sides = { reference, candidate };
  const removePods = onDispose('pods of the benchmark', async () => {
    await removeAllPods(sides);
    await requireNothingLeft({
      containerdSocket: stack.containerd.socket,
      folder: stack.dir,
      addresses: stack.bridge.dataDir,
      namespaces: ['k8s.io', CRID_NAMESPACE],
    });
  });
  return {
    sides,
    pids: { containerd: stack.containerd.pid(), crid: crid?.pid },
    images: { warm: 'docker.io/library/busybox:latest', cold: 'docker.io/crid-test/many-layers:latest' },
    folder,
    async stop() {
      await removePods();
      await crid?.stop();
      await stack.dispose();
    },
  };
}

/** The same program speaks to both servers. */
function side(key: Side['key'], name: string, socket: string): Side {
  const channel = createChannel(`unix://${socket}`, undefined, {
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
    'grpc.use_local_subchannel_pool': 1,
  });
  return {
    key,
    name,
    runtime: createClient(RuntimeServiceDefinition, channel),
    images: createClient(ImageServiceDefinition, channel),
  };
}

async function startCrid(options: Options, folder: string, containerdConfig: string) {
  const [socket, config] = [join(folder, 'crid.sock'), join(folder, 'crid.toml')];
  const logFile = options.cridLog ?? join(folder, 'crid.log');
  await writeFile(
    config,
    `root = ${JSON.stringify(join(folder, 'root'))}
state = ${JSON.stringify(join(folder, 'state'))}

[crid]
namespace = "${CRID_NAMESPACE}"
log_level = "${options.cridLog === undefined ? 'info' : 'debug'}"
`,
  );
  const daemon = await startDaemon(
    join(projectRoot, 'bin', 'crid'),
    ['serve', '--containerd-config', containerdConfig, '--config', config, '--listen', socket],
    { logFile },
  );
  const stop = onDispose('crid', () => daemon.stop('SIGTERM', STOP_LIMIT_MS));
  const { runtime } = side('candidate', 'crid', socket);
  await until('crid answers', READY_LIMIT_MS, async () => {
    if (daemon.hasEnded()) throw new Error('crid has ended');
    await runtime.version({});
    return true;
  }).catch((error: unknown) => {
    throw new Error(`start crid: ${logTail(logFile)}`, { cause: error });
  });
  return { socket, pid: daemon.pid, stop };
}
