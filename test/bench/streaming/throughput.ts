import { truncate, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { forwardedPort } from '../../harness/crictl.js';
import { startPodServer } from '../../harness/streaming/pod-server.js';
import { room, type Transport } from '../../harness/streaming/command-client.js';
import { of, type Side } from '../side.js';
import { cpuMs } from '../processes.js';
import type { StreamingBench } from './streaming-bench.js';

export const OPERATIONS = ['exec, out', 'exec, in', 'port-forward, out', 'port-forward, in'] as const;
type Operation = (typeof OPERATIONS)[number];

/** Milliseconds per operation over a WebSocket, and crid's CPU time. Only crid is measured. */
export type OverWebSocket = Record<Operation, { ms: number[]; cpuMs: number[] }>;

const [SOURCE_PORT, SINK_PORT] = [8100, 8101];
const CHUNK_BYTES = 65_536;

/**
 * Measures the throughput with crictl as the client of both sides. Its output is discarded; its input is a file of
 * zeros.
 */
export async function throughput(all: StreamingBench, cridPid: number | undefined): Promise<OverWebSocket> {
  const { bench, folder, sizeMiB } = all;
  const zeros = join(folder, 'zeros');
  await writeFile(zeros, '');
  await truncate(zeros, sizeMiB * 1024 * 1024);
  const over = Object.fromEntries(OPERATIONS.map((name) => [name, { ms: [], cpuMs: [] }])) as unknown as OverWebSocket;
  const servers = await Promise.all([bench.sides.reference, bench.sides.candidate].map((side) => serve(all, side)));
  try {
    for (const operation of OPERATIONS) {
      for (let round = 0; round < Math.max(1, Math.round(bench.rounds / 8)); round++) {
        await bench.recorder.pair(operation, (side) => transfer(all, side, operation, 'spdy', zeros));
        if (cridPid === undefined) continue;
        const [startedMs, cpuBeforeMs] = [performance.now(), cpuMs(cridPid)];
        await transfer(all, bench.sides.candidate, operation, 'websocket', zeros);
        over[operation].ms.push(performance.now() - startedMs);
        over[operation].cpuMs.push(cpuMs(cridPid) - cpuBeforeMs);
      }
    }
  } finally {
    for (const server of servers) server.stop();
  }
  return over;
}

async function transfer(
  all: StreamingBench,
  side: Side,
  operation: Operation,
  transport: Transport,
  zeros: string,
): Promise<void> {
  const bytes = all.sizeMiB * 1024 * 1024;
  const [container, flags] = [of(all.containers, side), ['--transport', transport]];
  switch (operation) {
    case 'exec, out':
      await exec(all, side, [...flags, container, 'head', '-c', String(bytes), '/dev/zero'], '/dev/null');
      return;
    case 'exec, in': {
      // The shell keeps the output open: containerd's own CRI ends the input of a command that has closed its output.
      const dd = `dd of=/dev/null bs=1M count=${all.sizeMiB} iflag=fullblock; echo`;
      const said = await exec(all, side, ['-i', ...flags, container, 'sh', '-c', dd], zeros);
      if (!said.includes(`${all.sizeMiB}+0 records in`)) throw new Error(`exec, in of ${side.name}: ${said}`);
      return;
    }
    case 'port-forward, out':
      return forwarded(all, side, flags, SOURCE_PORT, (socket) => drain(socket, bytes));
    case 'port-forward, in':
      return forwarded(all, side, flags, SINK_PORT, (socket) => fill(socket, bytes));
  }
}

/** Returns what the command wrote to stderr. */
async function exec({ crictl }: StreamingBench, side: Side, args: readonly string[], stdin: string): Promise<string> {
  const { code, stderr } = await of(crictl, side).run(['exec', ...args], { stdin, stdout: '/dev/null' });
  if (code !== 0) throw new Error(`crictl exec: ${stderr}`);
  return stderr;
}

async function forwarded(
  { crictl, pods }: StreamingBench,
  side: Side,
  flags: readonly string[],
  port: number,
  use: (socket: Socket) => Promise<void>,
): Promise<void> {
  const child = of(crictl, side).start(['port-forward', ...flags, of(pods, side).id, `:${port}`]);
  try {
    const socket = connect(await forwardedPort(child), '127.0.0.1');
    await use(socket);
    socket.destroy();
  } finally {
    child.kill('SIGKILL');
  }
}

async function drain(socket: Socket, bytes: number): Promise<void> {
  let left = bytes;
  socket.on('data', (chunk) => (left -= chunk.length));
  await once(socket, 'end');
  if (left !== 0) throw new Error(`port-forward: ${left} bytes are missing`);
}

async function fill(socket: Socket, bytes: number): Promise<void> {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  const answered = once(socket, 'data');
  for (let sent = 0; sent < bytes; sent += chunk.length) await room(socket, socket.write(chunk));
  await answered;
}

/** Listens on two ports in the pod: one sends `sizeMiB` of zeros, the other receives as many and then confirms. */
const serve = ({ pods, sizeMiB }: StreamingBench, side: Side) =>
  startPodServer(
    side,
    of(pods, side).id,
    `
      const bytes = ${sizeMiB * 1024 * 1024};
      const chunk = Buffer.alloc(${CHUNK_BYTES});
      const net = require('node:net');
      const source = net.createServer((socket) => {
        socket.on('error', () => socket.destroy());
        let left = bytes;
        const more = () => {
          while (left > 0) {
            left -= chunk.length;
            if (!socket.write(chunk)) return socket.once('drain', more);
          }
          socket.end();
        };
        more();
      });
      const sink = net.createServer((socket) => {
        socket.on('error', () => socket.destroy());
        let left = bytes;
        socket.on('data', (piece) => (left -= piece.length) === 0 && socket.write('done'));
      });
      source.listen(${SOURCE_PORT}, '127.0.0.1', () => sink.listen(${SINK_PORT}, '127.0.0.1', () => console.log('ready')));
    `,
  );
