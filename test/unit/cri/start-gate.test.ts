import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { ClientError } from 'nice-grpc';
import {
  ContainerEventResponse,
  ImageServiceDefinition,
  RuntimeServiceDefinition,
  VersionResponse,
} from '../../../generated/runtime/v1/api.js';
import { CriError } from '../../../src/base/errors.js';
import { createLogger } from '../../../src/base/log.js';
import { beginWait } from '../../../src/base/waits.js';
import { serve, type CriServer } from '../../../src/cri/server.js';
import { implement } from '../../../src/cri/service.js';
import { createStartGate, type StartGate } from '../../../src/cri/start-gate.js';
import { criClient, type CriClient } from '../../harness/cri-client.js';

const WAIT_MS = 300;

let folder: string;
let gate: StartGate;
let server: CriServer;
let client: CriClient;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crid-gate-'));
  gate = createStartGate([RuntimeServiceDefinition, ImageServiceDefinition], WAIT_MS);
  const log = createLogger('error');
  log.level = 'silent';
  server = await serve({ listen: `${folder}/crid.sock`, socketGid: 0, services: gate.services, log });
  client = criClient(`${folder}/crid.sock`);
});
afterEach(async () => {
  client.close();
  await server.stop(100);
  await rm(folder, { recursive: true });
});

const open = (): void =>
  gate.open([
    implement(RuntimeServiceDefinition, {
      version: () => VersionResponse.fromPartial({ runtime_name: 'crid' }),
      getContainerEvents: async function* () {
        yield await Promise.resolve(ContainerEventResponse.fromPartial({ container_id: 'one' }));
      },
    }),
    implement(ImageServiceDefinition, {}),
  ]);
/** Returns the code and message of the call's error. */
const failure = async (call: Promise<unknown>): Promise<string> => {
  const thrown: unknown = await call.then(
    () => 'it succeeded',
    (error: unknown) => error,
  );
  return thrown instanceof ClientError ? `${thrown.code} ${thrown.details}` : String(thrown);
};

test('a call during a start waits, and is answered when the start has ended', async () => {
  const streamed = async (): Promise<string[]> => {
    const ids: string[] = [];
    for await (const { container_id: id } of client.runtime.getContainerEvents({})) ids.push(id);
    return ids;
  };
  const answers = Promise.all([client.runtime.version({}), streamed()]);
  await gate.run(() => new Promise((resolve) => setTimeout(resolve, WAIT_MS / 3)));
  open();
  const [{ runtime_name: name }, ids] = await answers;
  assert.deepEqual([name, ids], ['crid', ['one']]);
  assert.equal((await client.runtime.version({})).runtime_name, 'crid');
  assert.equal(await failure(client.images.listImages({})), '12 ListImages is not implemented');
});

test('callers get what a start waits for, and an open gate lets them through', async () => {
  let goOn = (): void => undefined;
  const started = gate.run(async () => {
    const endWait = beginWait(() => 'containerd to answer version.version');
    await new Promise<void>((resolve) => (goOn = resolve));
    endWait();
  });
  assert.equal(
    await failure(client.runtime.version({})),
    '14 crid is starting, waiting for containerd to answer version.version',
  );
  goOn();
  await started;
  open();
  assert.equal((await client.runtime.version({})).runtime_name, 'crid');
});

test('calls that wait for a failed start get its error, and so do later calls', async () => {
  const waiting = failure(client.runtime.version({}));
  await assert.rejects(
    gate.run(async () => {
      await new Promise((resolve) => setTimeout(resolve, WAIT_MS / 3));
      throw new CriError('FAILED_PRECONDITION', 'containerd is 1.7');
    }),
  );
  const told = '14 crid cannot start: containerd is 1.7';
  assert.deepEqual([await waiting, await failure(client.runtime.version({}))], [told, told]);
});
