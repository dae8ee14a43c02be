import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { appendFile, mkdtemp } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { createReadStream } from 'node:fs';
import { ContainerState } from '../../../generated/runtime/v1/api.js';
import { run } from '../../../tools/stack/exec.js';
import { until } from '../../../tools/stack/wait.js';
import { startCrid } from '../../harness/crid.js';
import { pullImage, removeAllPods, runPod } from '../../harness/pod.js';
import { TRANSPORTS, type Transport } from '../../harness/streaming/command-client.js';
import { echoServer, startPodServer } from '../../harness/streaming/pod-server.js';
import { startSuite } from '../rpc/suite.js';
import { crictl, digestOf, forwardedPort, type Crictl } from '../../harness/crictl.js';

/**
 * Tests with crictl, the client of node operators, over both of its transports. containerd's own CRI responds with 403
 * to WebSocket.
 */

const suite = startSuite({ withPod: true });
const SIZE_MIB = 100;
const WITHIN_MS = 60_000;
const ECHO_PORT = 8000;

interface Ready {
  readonly client: Crictl;
  readonly folder: string;
  readonly big: string;
  /** The id of an idle container. */
  readonly id: string;
}

let made: Promise<Ready> | undefined;
const ready = (): Promise<Ready> => (made ??= prepare());

async function prepare(): Promise<Ready> {
  const client = await crictl(suite.stack, suite.crid.socket);
  const folder = await mkdtemp(join(suite.stack.dir, 'crictl-'));
  const big = join(folder, 'big');
  for (let count = 0; count < SIZE_MIB; count++) await appendFile(big, randomBytes(1024 * 1024));
  return { client, folder, big, id: await suite.pod.run() };
}

/** Runs a test over each transport. */
function overBoth(name: string, work: (parts: Ready, flags: string[], transport: Transport) => Promise<void>): void {
  for (const transport of TRANSPORTS) {
    test(`${name}, ${transport}`, async () => work(await ready(), ['--transport', transport], transport));
  }
}

overBoth('exec: output, error output and exit code', async ({ client, id }, flags) => {
  const script = 'echo out; echo err >&2; exit 42';
  const { code, stdout, stderr } = await client.run(['exec', ...flags, id, 'sh', '-c', script]);
  assert.deepEqual([code === 0, stdout, stderr.split('\n')[0]], [false, 'out\n', 'err'], stderr);
  assert.match(stderr, /exit code 42/);
});

overBoth('exec: a command that does not exist', async ({ client, id }, flags) => {
  const { code, stderr } = await client.run(['exec', ...flags, id, '/no/such/command']);
  assert.notEqual(code, 0);
  assert.match(stderr, /\/no\/such\/command/);
});

overBoth(`exec: ${SIZE_MIB} MiB from stdin to stdout`, async ({ client, id, big, folder }, flags, transport) => {
  const back = join(folder, `exec-${transport}`);
  const { code, stderr } = await client.run(['exec', '-i', ...flags, id, 'cat'], { stdin: big, stdout: back });
  assert.deepEqual([code, stderr, await digestOf(back)], [0, '', await digestOf(big)]);
});

overBoth('exec: a terminal, with the size of the one that crictl has', async ({ client, id }, flags) => {
  const command = client.line(['exec', '-it', ...flags, id, 'sh', '-c', 'test -t 0 && sleep 0.5; stty size']);
  const seen = await run('script', [
    '--quiet',
    '--return',
    '--command',
    `stty rows 33 cols 99; ${command}`,
    '/dev/null',
  ]);
  assert.match(seen, /33 99\r?\n/);
});

overBoth(
  `attach: ${SIZE_MIB} MiB to the stdin of one client, back from stdout`,
  async ({ client, big, folder }, flags, transport) => {
    const echoing = await suite.pod.run({ command: ['cat'], stdin: true, stdin_once: true });
    const back = join(folder, `attach-${transport}`);
    const { code, stderr } = await client.run(['attach', '-i', ...flags, echoing], { stdin: big, stdout: back });
    assert.deepEqual([code, stderr, await digestOf(back)], [0, '', await digestOf(big)]);
    await until(
      'its exit is known',
      WITHIN_MS,
      async () => (await stateOf(echoing)) === ContainerState.CONTAINER_EXITED || undefined,
    );
    await suite.crid.runtime.removeContainer({ container_id: echoing });
  },
);

overBoth('attach: a client that is killed leaves the container alone', async ({ client }, flags) => {
  const talking = await suite.pod.run({ command: ['sh', '-c', 'while :; do echo tick; sleep 0.05; done'] });
  const child = client.start(['attach', ...flags, talking]);
  if (child.stdout) await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal(await stateOf(talking), ContainerState.CONTAINER_RUNNING);
  await suite.crid.runtime.removeContainer({ container_id: talking });
});

const stateOf = async (container: string): Promise<ContainerState | undefined> =>
  (await suite.crid.runtime.containerStatus({ container_id: container })).status?.state;

overBoth(`port-forward: ${SIZE_MIB} MiB through an echo`, async ({ client, big, folder }, flags, transport) => {
  const server = await startPodServer(suite.crid, suite.pod.id, echoServer(ECHO_PORT, ECHO_PORT + 6));
  const child = client.start(['port-forward', ...flags, suite.pod.id, `:${ECHO_PORT}`]);
  try {
    const back = join(folder, `forward-${transport}`);
    const socket = connect({ port: await forwardedPort(child), host: '127.0.0.1', allowHalfOpen: true });
    await Promise.all([
      pipeline(createReadStream(big), socket, { end: true }),
      pipeline(socket, createWriteStream(back)),
    ]);
    assert.equal(await digestOf(back), await digestOf(big));
  } finally {
    child.kill('SIGKILL');
    server.stop();
  }
});

test('exec --sync: the output of both streams is cut to one response that clients accept', async () => {
  const { client, id } = await ready();
  const script = 'yes out | head -c 20971520; yes err | head -c 20971520 >&2';
  const { code, stdout, stderr } = await client.run(['exec', '--sync', id, 'sh', '-c', script]);
  assert.equal(code, 0, stderr.slice(0, 300));
  // crictl appends a line break to each of the two.
  assert.equal(stdout.length + stderr.length, 16 * 1024 * 1024 - 64 + 2);
});

test('over TLS, the certificate checked', async () => {
  const { folder } = await ready();
  const [own, strange] = [await keyPair(folder, 'own'), await keyPair(folder, 'strange')];
  const pair = { tls_cert_file: own.cert, tls_key_file: own.key };
  const crid = await startCrid(suite.stack, {
    config: {
      crid: { namespace: 'crid-tls' },
      streaming: { enable_tls_streaming: true, x509_key_pair_streaming: pair },
    },
  });
  try {
    await pullImage(crid);
    const id = await (await runPod(crid, suite.stack)).run();
    const client = await crictl(suite.stack, crid.socket);
    const exec = (transport: Transport, { cert, key }: KeyPair) => {
      const tls = ['--tls-ca', cert, '--tls-cert', cert, '--tls-key', key];
      return client.run(['exec', '--transport', transport, ...tls, id, 'echo', 'private']);
    };
    for (const transport of TRANSPORTS) {
      const { code, stdout, stderr } = await exec(transport, own);
      assert.deepEqual([code, stdout], [0, 'private\n'], stderr);
      const refused = await exec(transport, strange);
      assert.deepEqual([refused.code === 0, refused.stdout], [false, '']);
      assert.match(refused.stderr, /certificate signed by unknown authority/);
    }
  } finally {
    await removeAllPods(crid);
    await crid.stop();
    crid.close();
  }
});

interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

async function keyPair(folder: string, name: string): Promise<KeyPair> {
  const [cert, key] = [join(folder, `${name}-cert.pem`), join(folder, `${name}-key.pem`)];
  const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1';
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'];
  await run('openssl', [...request, '-subj', `/CN=${name}`, '-addext', names, '-keyout', key, '-out', cert]);
  return { cert, key };
}

test('the error of crictl for a port without a listener', async () => {
  const { client } = await ready();
  const child = client.start(['port-forward', suite.pod.id, ':9']);
  try {
    // Read from the beginning: Node discards unread output when the process ends.
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const socket = connect({ port: await forwardedPort(child), host: '127.0.0.1' });
    await once(socket.resume(), 'close');
    await until('crictl says why', WITHIN_MS, () => /ECONNREFUSED/.test(said) || undefined);
    assert.match(said, /port 9 /);
  } finally {
    child.kill('SIGKILL');
  }
});
