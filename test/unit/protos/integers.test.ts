import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metrics as MetricsV2 } from '../../../generated/containerd/cgroups/v2/metrics.js';
import { TaskExit } from '../../../generated/containerd/events/task.js';
import { DeleteResponse } from '../../../generated/containerd/services/tasks/v1/tasks.js';
import { Descriptor } from '../../../generated/containerd/types/descriptor.js';
import {
  Container,
  ContainerStatus,
  FilesystemUsage,
  LinuxContainerResources,
  StopContainerRequest,
} from '../../../generated/runtime/v1/api.js';

const MAX_INT64 = 2n ** 63n - 1n;
const MIN_INT64 = -(2n ** 63n);
const MAX_UINT64 = 2n ** 64n - 1n;
const NANOSECONDS = 1795487453932569568n;
/** Seconds from the epoch to the zero of Go's time.Time, 0001-01-01T00:00:00Z. */
const ZERO_GO_TIME_SECONDS = -62135596800n;

interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}
const overTheWire = <T>(codec: Codec<T>, message: T): T => codec.decode(codec.encode(message).finish());

test('int64 of CRI keeps its ends and nanoseconds', () => {
  for (const value of [MAX_INT64, MIN_INT64, NANOSECONDS, -1n, 2n ** 53n + 1n]) {
    const container = Container.fromPartial({ created_at: value });
    const status = ContainerStatus.fromPartial({ created_at: value, started_at: value, finished_at: value });
    const resources = LinuxContainerResources.fromPartial({ cpu_quota: value, memory_limit_in_bytes: value });
    const stop = StopContainerRequest.fromPartial({ timeout: value });
    assert.deepEqual(
      [
        overTheWire(Container, container),
        overTheWire(ContainerStatus, status),
        overTheWire(LinuxContainerResources, resources),
        overTheWire(StopContainerRequest, stop),
      ],
      [container, status, resources, stop],
    );
    assert.equal(container.created_at, value);
  }
});

test('uint64 of CRI and of containerd keeps its end', () => {
  const usage = FilesystemUsage.fromPartial({ used_bytes: { value: MAX_UINT64 }, timestamp: MAX_INT64 });
  const metrics = MetricsV2.fromPartial({ memory: { usage_limit: MAX_UINT64 }, cpu: { usage_usec: 2n ** 53n + 1n } });
  const descriptor = Descriptor.fromPartial({ size: MAX_INT64 });
  assert.deepEqual(
    [overTheWire(FilesystemUsage, usage), overTheWire(MetricsV2, metrics), overTheWire(Descriptor, descriptor)],
    [usage, metrics, descriptor],
  );
  assert.equal(usage.used_bytes?.value, MAX_UINT64);
});

test("a timestamp keeps its nanoseconds, and the zero of Go's time its seconds", () => {
  for (const exited_at of [
    { seconds: ZERO_GO_TIME_SECONDS, nanos: 0 },
    { seconds: 1795487453n, nanos: 932569568 },
    { seconds: 0n, nanos: 1 },
  ]) {
    const exit = TaskExit.fromPartial({ container_id: 'c', exited_at });
    const response = DeleteResponse.fromPartial({ exited_at });
    assert.deepEqual([overTheWire(TaskExit, exit), overTheWire(DeleteResponse, response)], [exit, response]);
    assert.deepEqual(exit.exited_at, exited_at);
  }
});

test('the zero time of Go is the bytes that Go writes', () => {
  // tag 1, varint of the two's complement of the seconds in 64 bits
  const bytes = Buffer.from('08' + '8092b8c398feffffff01', 'hex');
  const exit = TaskExit.decode(Buffer.concat([Buffer.from([0x2a, bytes.length]), bytes]));
  assert.equal(exit.exited_at?.seconds, ZERO_GO_TIME_SECONDS);
});
