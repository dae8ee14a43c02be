import { ControllerDefinition } from '../../generated/containerd/services/sandbox/v1/sandbox.js';
import { invalidArgument } from '../base/errors.js';
import { wireAny } from './any.js';
import { withOptions, withoutLimit, type ClientOf } from './connection.js';
import type { SandboxController } from './containerd.js';
import { wireSandbox } from './sandboxes.js';
import { wireMount } from './tasks.js';
import { timestampNs } from './wire-time.js';

export function createController(clientOf: ClientOf): SandboxController {
  const client = clientOf(ControllerDefinition);
  return {
    create: async (sandboxer, { sandbox, rootfs, options: sandboxOptions, netnsPath, annotations }, options) => {
      const request = {
        sandbox_id: sandbox.id,
        rootfs: rootfs.map(wireMount),
        options: wireAny(sandboxOptions),
        netns_path: netnsPath,
        annotations,
        sandbox: wireSandbox(sandbox),
        sandboxer,
      };
      await client.create(request, withOptions(options));
    },

    start: async (sandboxer, id, options) => {
      const answer = await client.start({ sandboxer, sandbox_id: id }, withOptions(options));
      const { pid, labels, address, version, spec } = answer;
      return { pid, createdAtNs: timestampNs(answer.created_at), labels, address, version, spec };
    },

    wait: async (sandboxer, id, options) => {
      const answer = await client.wait({ sandboxer, sandbox_id: id }, withoutLimit(options));
      return { exitStatus: answer.exit_status, exitedAtNs: timestampNs(answer.exited_at) };
    },

    status: async (sandboxer, id, verbose, options) => {
      const answer = await client.status({ sandboxer, sandbox_id: id, verbose }, withOptions(options));
      return {
        pid: answer.pid,
        state: answer.state,
        info: answer.info,
        createdAtNs: timestampNs(answer.created_at),
        exitedAtNs: timestampNs(answer.exited_at),
        address: answer.address,
        version: answer.version,
      };
    },

    stop: async (sandboxer, id, timeoutSeconds, options) => {
      await client.stop({ sandboxer, sandbox_id: id, timeout_secs: timeoutSeconds }, withOptions(options));
    },

    shutdown: async (sandboxer, id, options) => {
      await client.shutdown({ sandboxer, sandbox_id: id }, withOptions(options));
    },

    update: async (sandboxer, sandbox, fields, options) => {
      if (fields.length === 0) throw invalidArgument('controller.update: fields', 'must name a field to update');
      const request = { sandboxer, sandbox_id: sandbox.id, sandbox: wireSandbox(sandbox), fields: [...fields] };
      await client.update(request, withOptions(options));
    },
  };
}
