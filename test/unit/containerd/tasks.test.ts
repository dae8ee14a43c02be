import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CreateTaskRequest } from '../../../generated/containerd/services/tasks/v1/tasks.js';
import type { ClientOf } from '../../../src/containerd/connection.js';
import { createTasks } from '../../../src/containerd/tasks.js';

test('a task that a sandbox controller serves is created with its address, for any runtime', async () => {
  const requests: CreateTaskRequest[] = [];
  const create = (request: CreateTaskRequest) => {
    requests.push(request);
    return Promise.resolve({ container_id: request.container_id, pid: 7 });
  };
  const tasks = createTasks((() => ({ create })) as unknown as ClientOf);
  const task = { containerId: 'x', rootfs: [], io: { stdin: '', stdout: '', stderr: '', terminal: false } };
  await tasks.create({ ...task, endpoint: { address: 'ttrpc+unix:///x', version: 3 } });
  await tasks.create(task);
  assert.deepEqual(
    requests.map(({ task_api_address, task_api_version, options }) => [task_api_address, task_api_version, options]),
    [
      ['ttrpc+unix:///x', 3, undefined],
      ['', 0, undefined],
    ],
  );
});
