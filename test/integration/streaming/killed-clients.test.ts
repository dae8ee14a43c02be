import assert from 'node:assert/strict';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, test, type TestContext } from 'node:test';
import { ContainerState } from '../../../generated/runtime/v1/api.js';
import { processes, shimsOf } from '../../../tools/stack/leftovers.js';
import { until } from '../../../tools/stack/wait.js';
import { runningOperations } from '../../harness/operations.js';
import { descriptors, grown } from '../../harness/descriptors.js';
import { watchExecs, type ExecWatch } from '../../harness/exec-watch.js';
import { leaks, NAMESPACE } from '../../harness/leaks.js';
import {
  closed,
  openCommandClient,
  room,
  TRANSPORTS,
  type CommandClient,
  type Transport,
} from '../../harness/streaming/command-client.js';
import { echoServer, startPodServer, type PodServer } from '../../harness/streaming/pod-server.js';
import { openSpdy, openTunnel, type SpdyClient } from '../../harness/streaming/spdy-client.js';
import { seeded } from '../../harness/streaming/wire.js';
import { startSuite } from '../rpc/suite.js';
import { crictl } from '../../harness/crictl.js';

/**
 * Fifty concurrent clients, each of which disconnects at a random moment: before its connection is established, while
 * bytes flow in either direction, or while it does not read. Nothing of them may be left.
 */

const suite = startSuite({ withPod: true });
const SESSIONS = 50;
const KILLED_WITHIN_MS = 400;
/** A shim garbage-collects the descriptors that it does not close every 30 s. */
const GONE_WITHIN_MS = 60_000;
const ECHO_PORT = 8000;
/**
 * Appears in the arguments of every process that an exec of this test starts, and of no other process. Also a number of
 * seconds to sleep.
 */
const MARK = String(100_000_000 + process.pid);

const seed = Number(process.env['CRID_TEST_SEED'] ?? randomInt(1_000_000));
const random = seeded(seed);
const below = (limit: number): number => Math.floor(random() * limit);

let watch: ExecWatch | undefined;
let server: PodServer | undefined;
after(() => {
  watch?.close();
  server?.stop();
});

/** The ways in which a client disconnects. */
const ENDS: readonly ((client: { readonly socket: SpdyClient['socket'] }) => void)[] = [
  ({ socket }) => void socket.destroy(),
  ({ socket }) => void socket.resetAndDestroy(),
  ({ socket }) => {
    socket.pause();
    setTimeout(() => socket.destroy(), 200);
  },
];

interface Session {
  readonly killAfterMs: number;
  readonly end: (typeof ENDS)[number];
  readonly variant: number;
}

/** Chooses all sessions before the first one runs, so that the seed determines everything but the timing. */
const sessions = (): Session[] =>
  Array.from({ length: SESSIONS }, () => ({
    killAfterMs: below(KILLED_WITHIN_MS),
    end: ENDS[below(ENDS.length)]!,
    variant: below(4),
  }));

/** Runs one client until it is to disconnect. */
async function broken<T extends { readonly socket: SpdyClient['socket'] }>(
  { killAfterMs, end }: Session,
  open: () => Promise<T>,
  use: (client: T) => Promise<void>,
): Promise<void> {
  const atMs = performance.now() + killAfterMs;
  const client = await open();
  const used = use(client).catch(() => undefined);
  await sleep(Math.max(0, atMs - performance.now()));
  end(client);
  await closed(client.socket);
  await used;
}

/** Sends until the connection is closed. */
async function flood(client: CommandClient): Promise<void> {
  const bytes = randomBytes(32_768);
  while (!client.socket.destroyed) await client.write(bytes);
}

/** Counts the resources that sessions could leak, by kind. */
async function inventory() {
  const shims = (await shimsOf(suite.stack.containerd.socket)).map(({ pid }) => descriptors(pid));
  return {
    crid: descriptors(suite.crid.pid()),
    shims: summed(shims),
    fifos: (await leaks(suite.stack)).fifo,
    processes: (await processes()).filter(({ args }) => args.includes(MARK)).map(({ pid }) => pid),
    execs: (await watch?.left()) ?? [],
    operations: await runningOperations(suite.crid.runtime),
    connections: server ? connectionsOf(server.pid) : 0,
  };
}

function summed(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const [kind, count] of all.flatMap((each) => Object.entries(each))) sums[kind] = (sums[kind] ?? 0) + count;
  return sums;
}

type Inventory = Awaited<ReturnType<typeof inventory>>;

/** Returns what exists now and did not before; undefined if nothing does. */
function leftSince(before: Inventory, now: Inventory): object | undefined {
  const left = {
    crid: grown(before.crid, now.crid),
    shims: grown(before.shims, now.shims),
    fifos: now.fifos.filter((path) => !before.fifos.includes(path)),
    processes: now.processes,
    execs: now.execs,
    operations: now.operations,
    connections: now.connections > before.connections ? [now.connections] : [],
  };
  return Object.values(left).some((each) => Object.keys(each).length > 0) ? left : undefined;
}

async function assertLeavesNothing(before: Inventory): Promise<void> {
  let left: object | undefined;
  await until('as before', GONE_WITHIN_MS, async () => {
    left = leftSince(before, await inventory());
    return left === undefined ? true : undefined;
  }).catch(() => assert.fail(`seed ${seed}, left behind: ${JSON.stringify(left)}`));
}

/** Returns the number of established connections in the network namespace of a process. */
const connectionsOf = (pid: number): number =>
  ['tcp', 'tcp6'].flatMap((table) =>
    readFileSync(`/proc/${pid}/net/${table}`, 'utf8')
      .split('\n')
      .filter((line) => line.trim().split(/\s+/)[3] === '01'),
  ).length;

function overBoth(name: string, work: (transport: Transport, t: TestContext) => Promise<void>): void {
  for (const transport of TRANSPORTS) {
    test(`${name}, ${transport}`, async (t) => {
      t.diagnostic(`CRID_TEST_SEED=${seed}`);
      watch ??= await watchExecs(suite.stack.containerd.socket, NAMESPACE);
      await work(transport, t);
    });
  }
}

let execTarget: Promise<string> | undefined;

async function execUrl(cmd: string[], { stdin = false, tty = false }): Promise<string> {
  const container_id = await (execTarget ??= suite.pod.run());
  return (await suite.crid.runtime.exec({ container_id, cmd, stdin, stdout: true, stderr: !tty, tty })).url;
}

/**
 * The commands by the session's variant: one copies its input, one ignores it, one writes without end, and one has a
 * terminal.
 */
const COMMANDS = [
  { script: `cat; : ${MARK}`, stdin: true, tty: false },
  { script: `sleep ${MARK}`, stdin: true, tty: false },
  { script: `yes ${MARK}`, stdin: false, tty: false },
  { script: `sh -c "sleep ${MARK} & yes ${MARK}"`, stdin: true, tty: true },
] as const;

overBoth('exec', async (transport) => {
  const whole = async (): Promise<void> => {
    let text = '';
    const url = await execUrl(['sh', '-c', 'cat; exit 3'], { stdin: true });
    const onOutput = (_: string, bytes: Buffer): void => void (text += bytes.toString());
    const client = await openCommandClient(url, { transport, stdin: true, onOutput });
    await client.write('to the end');
    client.endInput();
    assert.match(await client.outcome, /"ExitCode","message":"3"/);
    assert.equal(text, 'to the end');
  };
  await whole();
  const before = await inventory();
  const killed = sessions().map(async (session) => {
    const { script, stdin, tty } = COMMANDS[session.variant]!;
    const url = await execUrl(['sh', '-c', script, MARK], { stdin, tty });
    await broken(
      session,
      () => openCommandClient(url, { transport, stdin, tty }),
      async (client) => {
        if (tty) client.resize(80 + session.variant, 24);
        // Sends little: a shim whose write blocks because the terminal is not read hangs for ever.
        if (tty) await client.write('typed\n');
        else if (stdin) await flood(client);
      },
    );
  });
  // Clients that stay must be served normally.
  await Promise.all([...killed, ...Array.from({ length: 5 }, whole)]);
  await assertLeavesNothing(before);
  assert.ok((watch?.made ?? 0) >= 6, `${watch?.made} execs`);
});

overBoth('attach', async (transport) => {
  const ids = await Promise.all([
    suite.pod.run({ command: ['cat'], stdin: true }),
    suite.pod.run({ command: ['sh'], stdin: true, tty: true }),
    suite.pod.run({ command: ['sh', '-c', 'while :; do echo some more; done'] }),
    suite.pod.run({ command: ['sleep', '100000'], stdin: true }),
  ]);
  const attach = async (variant: number): Promise<CommandClient> => {
    const [stdin, tty] = [variant !== 2, variant === 1];
    const request = { container_id: ids[variant]!, stdin, stdout: true, stderr: !tty, tty };
    return openCommandClient((await suite.crid.runtime.attach(request)).url, { transport, stdin, tty });
  };
  const first = await attach(0);
  first.socket.destroy();
  const before = await until('a quiet start', GONE_WITHIN_MS, async () => {
    const now = await inventory();
    return now.operations.length === 0 ? now : undefined;
  });
  await Promise.all(
    sessions().map((session) =>
      broken(
        session,
        () => attach(session.variant),
        async (client) => {
          if (session.variant === 1) await client.write('echo typed\n');
          else if (session.variant !== 2) await flood(client);
        },
      ),
    ),
  );
  await assertLeavesNothing(before);
  for (const container_id of ids) {
    const { status } = await suite.crid.runtime.containerStatus({ container_id });
    assert.equal(status?.state, ContainerState.CONTAINER_RUNNING);
    await suite.crid.runtime.removeContainer({ container_id });
  }
});

overBoth('port-forward', async (transport) => {
  server ??= await startPodServer(suite.crid, suite.pod.id, echoServer(ECHO_PORT, ECHO_PORT + 6));
  const before = await inventory();
  const open = async (): Promise<SpdyClient> => {
    const { url } = await suite.crid.runtime.portForward({ pod_sandbox_id: suite.pod.id });
    return transport === 'spdy' ? openSpdy(url, 'portforward.k8s.io') : openTunnel(url);
  };
  const connection = async (client: SpdyClient, requestID: number, port: number): Promise<void> => {
    const pair = { port: String(port), requestID: String(requestID) };
    const error = await client.open({ ...pair, streamType: 'error' }, () => undefined);
    error.end();
    const data = await client.open({ ...pair, streamType: 'data' }, () => undefined);
    const bytes = randomBytes(32_768);
    while (!client.socket.destroyed) await room(client.socket, data.write(bytes));
  };
  // No server listens on the third port.
  const ports = [ECHO_PORT, ECHO_PORT + 6, ECHO_PORT + 1];
  const use = async (client: SpdyClient): Promise<void> =>
    void (await Promise.all(ports.map((port, index) => connection(client, index, port))));
  await Promise.all(sessions().map((session) => broken(session, open, use)));
  await assertLeavesNothing(before);
});

overBoth('crictl, killed', async (transport) => {
  server ??= await startPodServer(suite.crid, suite.pod.id, echoServer(ECHO_PORT, ECHO_PORT + 6));
  const client = await crictl(suite.stack, suite.crid.socket);
  const container = await (execTarget ??= suite.pod.run());
  const attached = await suite.pod.run({ command: ['sh', '-c', 'while :; do echo some more; done'] });
  const flags = ['--transport', transport];
  const calls = [
    ['exec', ...flags, container, 'sh', '-c', `yes ${MARK}`, MARK],
    ['exec', '-i', ...flags, container, 'sh', '-c', `sleep ${MARK}`, MARK],
    ['exec', '--sync', container, 'sh', '-c', 'sleep 1; echo done', MARK],
    ['attach', ...flags, attached],
    ['port-forward', ...flags, suite.pod.id, `:${ECHO_PORT}`],
  ];
  // The first ExecSync starts the capture thread, which stays.
  await suite.pod.exec(container, ['true']);
  const before = await inventory();
  await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      const child = client.start(calls[index % calls.length]!);
      child.stdout?.resume();
      child.stderr?.resume();
      await sleep(below(3 * KILLED_WITHIN_MS));
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }),
  );
  await assertLeavesNothing(before);
  await suite.crid.runtime.removeContainer({ container_id: attached });
});
