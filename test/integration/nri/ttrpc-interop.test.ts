import assert from 'node:assert/strict';
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { before, describe, test, type TestContext } from 'node:test';
import {
  ConfigureRequest,
  ContainerAdjustment,
  CreateContainerRequest,
  CreateContainerResponse,
  PluginDefinition,
  RuntimeDefinition,
  SynchronizeRequest,
} from '../../../generated/nri/v1alpha1/api.js';
import { withResolvers } from '../../../src/base/async.js';
import { CriError } from '../../../src/base/errors.js';
import { unlessAborted } from '../../../src/base/time.js';
import { createTrunk, type Trunk } from '../../../src/ttrpc/trunk.js';
import { createTtrpcClient } from '../../../src/ttrpc/ttrpc-client.js';
import { methodOf } from '../../../src/ttrpc/ttrpc-method.js';
import { serveTtrpc, type Handlers } from '../../../src/ttrpc/ttrpc-server.js';
import { ensureGoProgram } from '../../harness/go-program.js';

const [PLUGIN, RUNTIME] = [1, 2];
const MODULES = { 'github.com/containerd/nri': 'v0.12.5', 'github.com/containerd/ttrpc': 'v1.2.10' };
const unimplemented = async (): Promise<never> => {
  throw new CriError('UNIMPLEMENTED', 'not here');
};

describe("ttrpc with Go's ttrpc v1.2.10 and NRI's multiplexer v0.12.5", () => {
  let program: string;
  before(async () => void (program = await ensureGoProgram('nri-peer', MODULES)), { timeout: 600_000 });

  test('a plugin in Go calls and is called', async (t) => {
    const { trunk, results } = await withPlugin(t, program);
    serveTtrpc(trunk, RUNTIME, RuntimeDefinition, {
      registerPlugin: async () => ({}),
      updateContainers: async ({ update }, signal) => {
        if (update[0]!.container_id === 'hang') await once(signal, 'abort');
        if (update[0]!.container_id === 'refused') throw new CriError('FAILED_PRECONDITION', 'not today');
        return { failed: update };
      },
    });
    const client = createTtrpcClient(trunk, PLUGIN);
    trunk.read();
    const options = { timeoutMs: 20_000 };
    const configured = await client.call(
      methodOf(PluginDefinition, 'configure'),
      ConfigureRequest.fromPartial({ config: 'fail' }),
      options,
    );
    assert.deepEqual(configured, { events: 3, failure_policy: { fail_request: true, keep_connected: false } });

    const annotations = { large: 'x'.repeat(4 * 2 ** 20 - 200) };
    const containers = [{ id: 'c', annotations }];
    const synced = await client.call(
      methodOf(PluginDefinition, 'synchronize'),
      SynchronizeRequest.fromPartial({ containers, more: true }),
      options,
    );
    assert.deepEqual([synced.more, synced.update.map((each) => each.container_id)], [true, ['c']]);

    const create = (id: string, timeoutMs = 20_000): Promise<string> =>
      client
        .call(
          methodOf(PluginDefinition, 'createContainer'),
          CreateContainerRequest.fromPartial({ container: { id } }),
          {
            timeoutMs,
          },
        )
        .then(
          ({ adjust }) => `${adjust?.annotations['large']?.length}`,
          (thrown: unknown) => `${CriError.from(thrown).code}: ${CriError.from(thrown).message}`,
        );
    assert.deepEqual(
      [await create('large'), await create('refused')],
      [`${3 * 2 ** 20}`, 'FAILED_PRECONDITION: not today'],
    );
    // Both ends know the deadline, and either may be the first to notice it.
    assert.match(await create('hang', 100), /^DEADLINE_EXCEEDED: /);
    assert.deepEqual(JSON.parse(await results), {
      register: 'ok',
      updates: 200,
      hang: 'DeadlineExceeded',
      refused: 'FailedPrecondition: not today',
    });
  });

  test('a runtime in Go is called and calls', async (t) => {
    const { trunk, results } = await withRuntime(t, program);
    serveTtrpc(trunk, PLUGIN, PluginDefinition, pluginHandlers());
    const client = createTtrpcClient(trunk, RUNTIME);
    trunk.read();
    const registered = await client.call(
      methodOf(RuntimeDefinition, 'registerPlugin'),
      { plugin_name: 'a', plugin_idx: '10', NRI_version: '' },
      { timeoutMs: 20_000 },
    );
    assert.deepEqual(registered, {});
    const ids = Array.from({ length: 50 }, (_, index) => `${index}${'x'.repeat(50_000)}`);
    const updated = await Promise.all(
      ids.map((container_id) =>
        client.call(
          methodOf(RuntimeDefinition, 'updateContainers'),
          { update: [{ container_id, linux: undefined, ignore_failure: false }], evict: [] },
          { timeoutMs: 20_000 },
        ),
      ),
    );
    assert.deepEqual(
      updated.map(({ failed }) => failed[0]!.container_id),
      ids,
    );
    assert.deepEqual(JSON.parse(await results), {
      configure: '5 ok',
      synchronize: 'true ok',
      create: `${3 * 2 ** 20} ok`,
      hang: 'DeadlineExceeded',
      refused: 'PermissionDenied: not today',
    });
  });
});

function pluginHandlers(): Handlers<typeof PluginDefinition> {
  const others = Object.fromEntries(Object.keys(PluginDefinition.methods).map((name) => [name, unimplemented]));
  return {
    ...(others as unknown as Handlers<typeof PluginDefinition>),
    configure: async () => ({ events: 5, failure_policy: undefined }),
    synchronize: async ({ more }) => ({ update: [], more }),
    createContainer: async () => {
      const adjust = ContainerAdjustment.fromPartial({ annotations: { large: 'x'.repeat(3 * 2 ** 20) } });
      return CreateContainerResponse.fromPartial({ adjust });
    },
    stopContainer: () => new Promise(() => undefined),
    removeContainer: async () => {
      throw new CriError('PERMISSION_DENIED', 'not today');
    },
  };
}

interface Peer {
  readonly trunk: Trunk;
  /** The JSON that the program prints. */
  readonly results: Promise<string>;
}

/** Starts the program as a plugin that dials this process. */
async function withPlugin(t: TestContext, program: string): Promise<Peer> {
  const socket = await socketPath(t);
  const server = createServer().listen(socket);
  t.after(() => void server.close());
  await once(server, 'listening');
  const started = start(program, 'plugin', socket);
  const [connection] = (await orFailed(t, started, once(server, 'connection'))) as [Socket];
  return peerOf(t, started, connection);
}

/** Starts the program as a runtime and dials it. */
async function withRuntime(t: TestContext, program: string): Promise<Peer> {
  const socket = await socketPath(t);
  const started = start(program, 'runtime', socket);
  await orFailed(t, started, started.listening);
  const connection = connect(socket);
  await once(connection, 'connect');
  return peerOf(t, started, connection);
}

async function socketPath(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'crid-nri-'));
  t.after(() => rm(folder, { recursive: true }));
  return join(folder, 'socket');
}

type Child = ChildProcessByStdio<null, Readable, Readable>;

interface Started {
  readonly child: Child;
  readonly listening: Promise<void>;
  /** Rejects with the stderr of the program when it has ended. */
  readonly failed: Promise<never>;
}

function start(program: string, role: string, socket: string): Started {
  const child = spawn(program, [role, socket], { stdio: ['ignore', 'pipe', 'pipe'] });
  let errors = '';
  const listening = withResolvers();
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
    if (errors.includes('listening\n')) listening.resolve();
  });
  const failed = new Promise<never>((_, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) =>
      reject(new Error(`nri-peer ${role} has ended, ${signal ?? `exit code ${code}`}: ${errors}`)),
    );
  });
  failed.catch(() => undefined);
  return { child, listening: listening.promise, failed };
}

/** Returns the result of `work`; kills the program if that fails, because no trunk ends it yet. */
async function orFailed<T>(t: TestContext, { child, failed }: Started, work: Promise<T>): Promise<T> {
  try {
    return await unlessAborted(Promise.race([work, failed]), t.signal);
  } catch (thrown) {
    child.kill('SIGKILL');
    throw thrown;
  }
}

/** The hooks run in the order of their registration: the program ends by itself when the trunk has closed. */
function peerOf(t: TestContext, { child, failed }: Started, socket: Socket): Peer {
  const trunk = createTrunk(socket);
  t.after(async () => {
    trunk.close(new CriError('CANCELLED', 'the test has ended'));
    const late = setTimeout(() => child.kill('SIGKILL'), 5_000);
    // The error of a call does not say why the program has ended.
    await failed.catch((ended: Error) => t.diagnostic(ended.message));
    clearTimeout(late);
  });
  const results = Promise.race([output(child), failed]);
  results.catch(() => undefined);
  return { trunk, results };
}

/** Returns the first line that the program prints; waits forever if it prints none. */
async function output({ stdout }: Child): Promise<string> {
  let text = '';
  for await (const piece of stdout.setEncoding('utf8') as AsyncIterable<string>) {
    text += piece;
    if (text.includes('\n')) return text;
  }
  return new Promise(() => undefined);
}
