import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { onDispose } from '../../tools/stack/disposers.js';
import type { Step } from '../../tools/stack/steps.js';
import { startCrid, type Crid } from '../harness/crid.js';
import { criClient } from '../harness/cri-client.js';
import { startStack, type Stack } from '../harness/test-stack.js';
import { removePodsOf, requireNothingLeft } from './clean-up.js';
import { createInFlight, type InFlight } from './in-flight.js';
import type { Each, Side } from './side.js';

/** Enough for two thousand containers on a busy machine. */
const REMOVAL_LIMIT_MS = 300_000;
const LAST_CALLS_LIMIT_MS = 120_000;
const PLUGIN_NAMESPACE = 'k8s.io';

export interface ServerOptions {
  /** Measures the plugin on both sides, which shows how much of a difference is chance. */
  readonly self?: boolean | undefined;
  /** The file that gets crid's log, which then has the level `debug`. */
  readonly cridLog?: string | undefined;
  /** The `sandboxer` of a second crid's runtime handler. */
  readonly sandboxer?: string | undefined;
  /** No measured call begins after this signal. */
  readonly signal?: AbortSignal;
}

/** The servers on one containerd. */
export interface Servers {
  readonly sides: Each<Side>;
  readonly containerdPid: number;
  readonly images: { readonly warm: string; readonly cold: string };
  readonly stack: Stack;
  /** For logs and other files that must exist as long as the servers. */
  readonly folder: string;
  /** Starts one more crid with a namespace of its own. */
  startCrid(key: Side['key'], name: string, config: CridConfig): Promise<Side>;
  /** Removes every pod, checks that they left nothing, and stops the servers. */
  stop(): Promise<void>;
}

type CridConfig = Readonly<Record<string, object>>;

export async function startServers(options: ServerOptions, step: Step): Promise<Servers> {
  const { self = false, cridLog, sandboxer, signal = new AbortController().signal } = options;
  const inFlight = createInFlight(signal);
  // With the network namespaces in the stack's folder, the check for leftovers finds every mount there.
  const stack = await startStack({ cri: true, runtime: { netns_mounts_under_state_dir: true }, step });
  const folder = join(stack.dir, 'bench');
  await mkdir(folder, { recursive: true });
  const namespaces = [PLUGIN_NAMESPACE];
  const check = onDispose('look for leftovers', () => requireNothingLeft(stack, namespaces));
  const crids: Crid[] = [];
  const removals: (() => Promise<void>)[] = [];
  const add = (server: ServerOfSide): Side => {
    const { side, removePods } = sideOf(server, inFlight);
    removals.push(removePods);
    return side;
  };
  const plugin = (key: Side['key'], name: string): Side => add({ key, name, socket: stack.containerd.socket });
  const start = async (key: Side['key'], name: string, config: CridConfig): Promise<Side> => {
    const namespace = `bench-${name.replaceAll(/[^a-z0-9]+/g, '-')}`;
    namespaces.push(namespace);
    const log_level = cridLog === undefined ? 'info' : 'debug';
    const crid = await startCrid(stack, { config: { ...config, crid: { namespace, log_level, ...config['crid'] } } });
    crids.push(crid);
    return add({ key, name, socket: crid.socket, pid: crid.pid() });
  };
  return {
    sides: {
      reference: plugin('reference', 'containerd'),
      candidate: self
        ? plugin('candidate', 'containerd again')
        : await step('start crid', () => start('candidate', 'crid', withSandboxer('pause'))),
      ...(sandboxer !== undefined && {
        variant: await step(`start crid with sandboxer = "${sandboxer}"`, () =>
          start('variant', `crid, ${sandboxer}`, withSandboxer(sandboxer)),
        ),
      }),
    },
    containerdPid: stack.containerd.pid(),
    images: { warm: 'docker.io/library/busybox:latest', cold: 'docker.io/crid-test/many-layers:latest' },
    stack,
    folder,
    startCrid: start,
    async stop() {
      for (const remove of removals) await remove();
      await check();
      for (const crid of crids) await crid.stop();
      if (crids[0] && cridLog !== undefined) await copyFile(crids[0].logFile, cridLog);
      await stack.dispose();
    },
  };
}

/** Says so for the default, too: the harness may have another default. */
const withSandboxer = (sandboxer: string): CridConfig => ({
  runtime: { containerd: { runtimes: { runc: { sandboxer } } } },
});

type ServerOfSide = Pick<Side, 'key' | 'name' | 'socket'> & { readonly pid?: number };

/** The measured calls have a client of their own, which makes none after an interruption. */
function sideOf(
  { key, name, socket, pid }: ServerOfSide,
  inFlight: InFlight,
): { side: Side; removePods: () => Promise<void> } {
  const { runtime, images } = criClient(socket, inFlight.middleware);
  const side = { key, name, socket, pid, runtime, images };
  const removePods = onDispose(
    `pods of ${name}`,
    async () => {
      await inFlight.ended(LAST_CALLS_LIMIT_MS);
      await removePodsOf({ ...side, runtime: criClient(socket).runtime });
    },
    REMOVAL_LIMIT_MS,
  );
  return { side, removePods };
}
