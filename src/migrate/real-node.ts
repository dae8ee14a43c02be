import { spawn } from 'node:child_process';
import { ClientError, Status } from 'nice-grpc';
import { ContainerState } from '../../generated/runtime/v1/api.js';
import { withCriClient } from '../client/cri-client.js';
import type { Containerd } from '../containerd/containerd.js';
import { askVersion } from '../runtime/containerd-version.js';
import { SANDBOXER_LABEL } from '../state/labels.js';
import { PINNED } from '../state/pod-view.js';
import type { CriState, MoveNode, Ran } from './move-node.js';
import { filesBelow } from './node-files.js';

/** A start of crid may take 5 minutes. */
const COMMAND_LIMIT_MS = 6 * 60_000;
const CALL_LIMIT_MS = 30_000;
const MISSING_PROGRAM = 127;

/** Asks for the version of the CRI server on a socket: only UNIMPLEMENTED says that there is none. */
export const criAt = (socket: string): Promise<CriState> =>
  withCriClient(socket, async ({ runtime }): Promise<CriState> => {
    try {
      await runtime.version({}, { signal: AbortSignal.timeout(CALL_LIMIT_MS) });
      return 'on';
    } catch (thrown) {
      return thrown instanceof ClientError && thrown.code === Status.UNIMPLEMENTED ? 'off' : 'unknown';
    }
  });

/** Runs a program in a session of its own, because Ctrl-C reaches every process of the terminal's session. */
export const runProgram = (program: string, args: readonly string[]): Promise<Ran> =>
  new Promise((resolve) => {
    const child = spawn(program, args, {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      signal: AbortSignal.timeout(COMMAND_LIMIT_MS),
    });
    const output = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
    child.on('error', ({ message }) => resolve({ code: MISSING_PROGRAM, stdout: '', stderr: message }));
    child.on('close', (code, signal) => {
      const stderr = output.stderr || (signal ? `${program} was killed by ${signal}` : '');
      resolve({ ...output, code: code ?? MISSING_PROGRAM, stderr });
    });
  });

/** The node that this process runs on. */
export const realNode = (containerd: Containerd): MoveNode => ({
  ...filesBelow(''),
  run: runProgram,
  containerdVersion: () => askVersion(containerd, containerd.address),
  criAt,
  containers: (socket) =>
    withCriClient(socket, async ({ runtime }) => {
      const { containers } = await runtime.listContainers({}, { signal: AbortSignal.timeout(CALL_LIMIT_MS) });
      return containers.map(({ id, state }) => ({ id, running: state === ContainerState.CONTAINER_RUNNING }));
    }),
  async pinnedPods() {
    const pods = await containerd.sandboxes.list([]);
    return pods.filter(({ labels }) => labels[SANDBOXER_LABEL] === PINNED).map(({ id }) => id);
  },
});
