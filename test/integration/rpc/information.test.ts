import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Client, credentials, status as GrpcStatus, type ServiceError } from '@grpc/grpc-js';
import { SYSTEMD_CGROUPS } from '../../../tools/stack/cgroup-driver.js';
import { projectRoot } from '../../../tools/stack/project.js';
import { until } from '../../../tools/stack/wait.js';
import { CgroupDriver } from '../../../generated/runtime/v1/api.js';
import { runningOperations } from '../../harness/operations.js';
import { assertFails, startSuite } from './suite.js';

const suite = startSuite();

test('Version names crid, its version and the API', async () => {
  const { version } = JSON.parse(await readFile(join(projectRoot, 'package.json'), 'utf8')) as { version: string };
  assert.deepEqual(await suite.crid.runtime.version({ version: 'v1' }), {
    version: '0.1.0',
    runtime_name: 'crid',
    runtime_version: version,
    runtime_api_version: 'v1',
  });
});

test('Status: all conditions are true, and the handlers are listed by name', async () => {
  const { status, info, runtime_handlers: handlers } = await suite.crid.runtime.status({});
  assert.deepEqual(
    { conditions: status?.conditions, info, handlers: handlers.map(({ name }) => name) },
    {
      conditions: ['RuntimeReady', 'NetworkReady', 'NoRuntimeConflict'].map((type) => ({
        type,
        status: true,
        reason: '',
        message: '',
      })),
      info: {},
      handlers: ['', 'crun', 'runc'],
    },
  );
});

test('Status verbose has the effective configuration, the network and the running operations', async () => {
  await until("the release of the suite's pull has ended", 60_000, async () =>
    (await runningOperations(suite.crid.runtime)).length === 0 ? true : undefined,
  );
  const { info } = await suite.crid.runtime.status({ verbose: true });
  const config = JSON.parse(info['cridConfig'] ?? '') as { grpc: unknown };
  const { containerd, bridge } = suite.stack;
  assert.deepEqual(
    {
      keys: Object.keys(info).sort(),
      grpc: config.grpc,
      operations: info['operations'],
      load: info['lastCNILoadStatus'],
      namesNetwork: info['cniconfig']?.includes(bridge.name),
    },
    {
      keys: ['cniconfig', 'config', 'cridConfig', 'lastCNILoadStatus', 'nri', 'operations', 'unreadableRecords'],
      grpc: { address: containerd.socket },
      operations: '{"running":[]}',
      load: 'OK',
      namesNetwork: true,
    },
  );
});

test('RuntimeConfig: the cgroup driver that the runtimes use', async () => {
  const cgroupDriver = SYSTEMD_CGROUPS ? CgroupDriver.SYSTEMD : CgroupDriver.CGROUPFS;
  assert.deepEqual(await suite.crid.runtime.runtimeConfig({}), { linux: { cgroup_driver: cgroupDriver } });
});

test('an unknown RPC is UNIMPLEMENTED, by its name', async (t) => {
  const client = new Client(`unix:${suite.crid.socket}`, credentials.createInsecure());
  t.after(() => client.close());
  const asIs = (bytes: Buffer): Buffer => bytes;
  const path = '/runtime.v1.RuntimeService/DreamContainer';
  const error = await new Promise<ServiceError | null>((resolve) => {
    client.makeUnaryRequest(path, asIs, asIs, Buffer.alloc(0), (failure) => resolve(failure));
  });
  assert.deepEqual([error?.code, error?.details.includes(path)], [GrpcStatus.UNIMPLEMENTED, true], error?.details);
});

test('checkpoints of pods are UNIMPLEMENTED, by the name of the RPC', async () => {
  const { runtime } = suite.crid;
  await assertFails(runtime.checkpointPod({ pod_sandbox_id: 'x' }), 'UNIMPLEMENTED', 'CheckpointPod');
  await assertFails(runtime.restorePod({ checkpoint_path: '/x' }), 'UNIMPLEMENTED', 'RestorePod is not implemented');
});

test('CheckpointContainer refuses a missing container', async () => {
  await assertFails(suite.crid.runtime.checkpointContainer({ container_id: 'x', location: '/x' }), 'NOT_FOUND', '"x"');
});
