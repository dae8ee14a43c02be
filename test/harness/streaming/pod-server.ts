import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { CriClient } from '../cri-client.js';

/** A server that listens in a pod's network namespace. */
export interface PodServer {
  readonly pid: number;
  stop(): void;
}

/**
 * Runs a Node script in a pod's network namespace, but not in the pod: the test images have no server that supports
 * half-closed connections. The script prints something to stdout once it listens.
 */
export async function startPodServer(
  { runtime }: Pick<CriClient, 'runtime'>,
  podId: string,
  script: string,
): Promise<PodServer> {
  const netns = await netnsPath(runtime, podId);
  const child: ChildProcess = spawn('nsenter', [`--net=${netns}`, process.execPath, '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (child.stdout) await once(child.stdout, 'data');
  return { pid: child.pid ?? 0, stop: () => void child.kill('SIGKILL') };
}

/**
 * Echoes on the IPv4 loopback at `ipv4Port` and on the IPv6 loopback at `ipv6Port`. Closes its side when the client
 * does.
 */
export const echoServer = (ipv4Port: number, ipv6Port: number): string => `
  const server = require('node:net').createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.pipe(socket);
  });
  server.listen(${ipv4Port}, '127.0.0.1', () => {
    const other = require('node:net').createServer({ allowHalfOpen: true }, (socket) => server.emit('connection', socket));
    other.listen(${ipv6Port}, '::1', () => console.log('ready'));
  });
`;

async function netnsPath(runtime: CriClient['runtime'], podId: string): Promise<string> {
  const { info } = await runtime.podSandboxStatus({ pod_sandbox_id: podId, verbose: true });
  const { runtimeSpec } = JSON.parse(info['info'] ?? '{}') as {
    runtimeSpec: { linux: { namespaces: { type: string; path?: string }[] } };
  };
  const path = runtimeSpec.linux.namespaces.find(({ type }) => type === 'network')?.path;
  if (!path) throw new Error(`pod ${podId} has no network namespace of its own`);
  return path;
}
