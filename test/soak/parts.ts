import assert from 'node:assert/strict';
import { ClientError, Status } from 'nice-grpc';
import type { Crid } from '../harness/crid.js';
import { until } from '../../tools/stack/wait.js';
import type { RunningPod } from '../harness/pod.js';
import {
  openCommandClient,
  TRANSPORTS,
  type CommandClient,
  type Transport,
} from '../harness/streaming/command-client.js';

/** An operation that is repeated. `index` is the number of the repetition and selects a variant. */
export interface SoakPart {
  readonly name: string;
  one(index: number): Promise<void>;
}

const ANSWER_WITHIN_MS = 60_000;

/** ExecSync as probes call it, with success and failure. */
export function execSyncs({ runtime }: Crid, container_id: string): SoakPart {
  const shell = (script: string, timeout = 30n) =>
    runtime.execSync({ container_id, cmd: ['sh', '-c', script], timeout });
  return {
    name: 'ExecSync',
    async one(index) {
      const kind = index % 20;
      if (kind === 0) return fails(shell('sleep 60 & sleep 60', 1n), Status.DEADLINE_EXCEEDED);
      if (kind === 1) {
        const cmd = ['/no/such/command'];
        return fails(runtime.execSync({ container_id, cmd, timeout: 30n }), Status.INVALID_ARGUMENT);
      }
      if (kind === 2) {
        const { stdout } = await shell('sleep 2 & echo out');
        return assert.equal(String(Buffer.from(stdout)), 'out\n');
      }
      if (kind === 3) {
        const size = index % 100 === 3 ? 20_000_000 : 300_000;
        const { stdout } = await shell(`head -c ${size} /dev/zero`);
        return assert.equal(stdout.length, Math.min(size, 16 * 1024 * 1024 - 64));
      }
      const { exit_code: code, stdout, stderr } = await shell(`echo ${index}; echo err >&2; exit ${kind}`);
      assert.deepEqual([code, String(Buffer.from(stdout)), String(Buffer.from(stderr))], [kind, `${index}\n`, 'err\n']);
    },
  };
}

/** Attaches, waits for echoed output, and disconnects, cleanly or not. */
export function attaches({ runtime }: Crid, echoing: string): SoakPart {
  return {
    name: 'attach and detach',
    async one(index) {
      const { url } = await runtime.attach({ container_id: echoing, stdin: true, stdout: true, stderr: true });
      let heard = 0;
      const client = await openCommandClient(url, {
        transport: transportOf(index),
        stdin: true,
        onOutput: (_, bytes) => void (heard += bytes.length),
      });
      if (index % 4 < 2) {
        await until('an answer', ANSWER_WITHIN_MS, async () => {
          await client.write('hello\n');
          return heard > 0 || undefined;
        });
      }
      await leave(client, index);
    },
  };
}

/** An exec with a terminal, of a command that does not exist. */
export function failingTerminals({ runtime }: Crid, container_id: string): SoakPart {
  return {
    name: 'terminal execs that fail',
    async one(index) {
      const cmd = ['/no/such/command'];
      const { url } = await runtime.exec({ container_id, cmd, stdin: true, stdout: true, tty: true });
      const client = await openCommandClient(url, { transport: transportOf(index), stdin: true, tty: true });
      client.resize(80 + (index % 50), 24);
      assert.match(await client.outcome, /"status":"Failure".*\/no\/such\/command/);
    },
  };
}

/** Execs whose client disconnects while the command runs. */
export function killedExecs({ runtime }: Crid, container_id: string): SoakPart {
  return {
    name: 'execs whose client goes',
    async one(index) {
      const tty = index % 3 === 0;
      const cmd = ['sh', '-c', index % 2 === 0 ? 'yes' : 'sleep 1000 & cat'];
      const request = { container_id, cmd, stdin: true, stdout: true, stderr: !tty, tty };
      const { url } = await runtime.exec(request);
      const client = await openCommandClient(url, { transport: transportOf(index), stdin: true, tty });
      await client.write('x'.repeat(1000));
      await new Promise((resolve) => setTimeout(resolve, index % 50));
      client.socket.destroy();
    },
  };
}

/** Creates the containers of a soak in a pod. */
export async function soakParts(crid: Crid, pod: RunningPod) {
  const idle = await pod.run();
  const echoing = await pod.run({ command: ['cat'], stdin: true });
  return {
    execSync: execSyncs(crid, idle),
    attach: attaches(crid, echoing),
    failing: failingTerminals(crid, idle),
    killed: killedExecs(crid, idle),
  };
}

const transportOf = (index: number): Transport => TRANSPORTS[index % TRANSPORTS.length]!;

async function leave(client: CommandClient, index: number): Promise<void> {
  if (index % 3 === 0) return void client.socket.resetAndDestroy();
  if (index % 3 === 1) return void client.socket.destroy();
  client.endInput();
  await client.outcome;
}

async function fails(call: Promise<unknown>, code: Status): Promise<void> {
  const thrown: unknown = await call.then(
    () => assert.fail('it was answered'),
    (error: unknown) => error,
  );
  assert.ok(thrown instanceof ClientError && thrown.code === code, String(thrown));
}
