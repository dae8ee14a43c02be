import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import PQueue from 'p-queue';
import { ContainerConfig } from '../../../generated/runtime/v1/api.js';
import { createLogger } from '../../../src/base/log.js';
import { createContainerd } from '../../../src/containerd/client.js';
import { KIND_LABEL } from '../../../src/state/labels.js';
import {
  CONTAINER_METADATA_EXTENSION,
  STATUS_EXTENSION,
  encodeContainerMetadata,
  encodeStatus,
} from '../../../src/state/stored.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { startStack, type Stack } from '../../harness/test-stack.js';
import { failureOf } from '../rpc/suite.js';

/**
 * 5,000 records of containers, which exceed gRPC's limit for one message. The streaming lists must return all of them.
 */

const CONTAINERS = 5_000;
const ANNOTATION_BYTES = 4 * 1024;
const MESSAGE_BYTES = 16 * 1024 * 1024;
const NAMESPACE = 'crid-large';
const AT_ONCE = 32;

let stack: Stack;
let crid: Crid;
const ids = Array.from({ length: CONTAINERS }, () => randomBytes(32).toString('hex'));

before(async () => {
  stack = await startStack();
  await writeRecords();
  crid = await startCrid(stack, { config: { crid: { namespace: NAMESPACE, log_level: 'info' } } });
});

after(async () => {
  await crid.stop();
  crid.close();
  await stack.dispose();
});

/** Writes records as crid does for containers that were created and not started. */
async function writeRecords(): Promise<void> {
  const containerd = createContainerd({
    address: stack.containerd.socket,
    namespace: NAMESPACE,
    log: createLogger('error'),
  });
  const sandboxId = randomBytes(32).toString('hex');
  const queue = new PQueue({ concurrency: AT_ONCE });
  const atNs = BigInt(Date.now()) * 1_000_000n;
  const write = (id: string, index: number): Promise<unknown> => {
    const name = `c${index}`;
    const config = ContainerConfig.fromPartial({
      metadata: { name, attempt: 0 },
      annotations: { heavy: 'x'.repeat(ANNOTATION_BYTES) },
    });
    const common = {
      imageRef: 'sha256:1',
      imageDigest: '',
      imageName: '',
      logPath: '',
      stopSignal: '',
      processLabel: '',
    };
    return containerd.containers.create({
      id,
      labels: { [KIND_LABEL]: 'container' },
      image: '',
      runtime: { name: 'io.containerd.runc.v2' },
      snapshotter: 'overlayfs',
      snapshotKey: '',
      extensions: {
        [CONTAINER_METADATA_EXTENSION]: encodeContainerMetadata({ id, name, sandboxId, config, ...common }),
        [STATUS_EXTENSION]: encodeStatus({
          ...{ pid: 0, createdAt: atNs, startedAt: 0n, finishedAt: 0n, exitCode: 0, reason: '', message: '' },
        }),
      },
      sandbox: '',
    });
  };
  try {
    await queue.addAll(ids.map((id, index) => () => write(id, index)));
  } finally {
    containerd.close();
  }
}

test('a list beyond the limit of a message is refused as a whole and streamed whole', async () => {
  assert.ok(CONTAINERS * ANNOTATION_BYTES > MESSAGE_BYTES);
  assert.equal((await failureOf(crid.runtime.listContainers({}))).code, 'RESOURCE_EXHAUSTED');
  const streamed: string[] = [];
  let messages = 0;
  for await (const { containers } of crid.runtime.streamContainers({})) {
    messages++;
    streamed.push(...containers.map(({ id }) => id));
  }
  assert.deepEqual(streamed.sort(), [...ids].sort());
  assert.ok(messages > (CONTAINERS * ANNOTATION_BYTES) / (1024 * 1024), `${messages} messages`);
});

test('their statistics are streamed too', async () => {
  const streamed: string[] = [];
  for await (const { container_stats } of crid.runtime.streamContainerStats({})) {
    streamed.push(...container_stats.map(({ attributes }) => attributes!.id));
  }
  assert.deepEqual(streamed.sort(), [...ids].sort());
});

test('a filtered list still fits into one message', async () => {
  const { containers } = await crid.runtime.listContainers({ filter: { id: ids[0]! } });
  assert.deepEqual(
    containers.map(({ id }) => id),
    [ids[0]],
  );
});
