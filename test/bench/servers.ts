import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { onDispose } from '../../tools/stack/disposers.js';
import type { Step } from '../../tools/stack/steps.js';
import { startCrid } from '../harness/crid.js';
import { criClient, type CriClient } from '../harness/cri-client.js';
import { startStack, type Stack } from '../harness/test-stack.js';
import { requireNothingLeft, removeAllPods } from './clean-up.js';
import type { Options } from './options.js';
import type { Both, Side } from './side.js';

/** crid's namespace in the containerd that both servers share. */
export const CRID_NAMESPACE = 'crid-bench';
/** Enough for two thousand containers on a busy machine. */
const REMOVAL_LIMIT_MS = 300_000;

/** Both servers on one containerd. */
export interface Servers {
  readonly sides: Both<Side>;
  readonly pids: { readonly containerd: number; readonly crid: number | undefined };
  readonly images: { readonly warm: string; readonly cold: string };
  readonly stack: Stack;
  /** For logs and other files that must exist as long as the servers. */
  readonly folder: string;
  /** Removes every pod, checks that they left nothing, and stops the servers. */
  stop(): Promise<void>;
}

export async function startServers(options: Options, step: Step): Promise<Servers> {
  // With the network namespaces in the stack's folder, the check for leftovers finds every mount there.
  const stack = await startStack({ cri: true, runtime: { netns_mounts_under_state_dir: true }, step });
  const folder = join(stack.dir, 'bench');
  await mkdir(folder, { recursive: true });
  const reference = side('reference', 'containerd', criClient(stack.containerd.socket));
  const crid = options.self ? undefined : await step('start crid', () => startBesideContainerd(stack, options));
  const candidate = crid
    ? side('candidate', 'crid', crid)
    : side('candidate', 'containerd again', criClient(stack.containerd.socket));
  const sides = { reference, candidate };
  const removePods = onDispose(
    'pods of the benchmark',
    async () => {
      await removeAllPods(sides);
      await requireNothingLeft(stack, ['k8s.io', CRID_NAMESPACE]);
    },
    REMOVAL_LIMIT_MS,
  );
  return {
    sides,
    pids: { containerd: stack.containerd.pid(), crid: crid?.pid() },
    images: { warm: 'docker.io/library/busybox:latest', cold: 'docker.io/crid-test/many-layers:latest' },
    stack,
    folder,
    async stop() {
      await removePods();
      await crid?.stop();
      if (crid && options.cridLog !== undefined) await copyFile(crid.logFile, options.cridLog);
      await stack.dispose();
    },
  };
}

const startBesideContainerd = (stack: Stack, { cridLog }: Options) =>
  startCrid(stack, {
    config: { crid: { namespace: CRID_NAMESPACE, log_level: cridLog === undefined ? 'info' : 'debug' } },
  });

const side = (key: Side['key'], name: string, { socket, runtime, images }: CriClient): Side => ({
  ...{ key, name, socket },
  ...{ runtime, images },
});
