import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ensureGoTool } from '../../tools/stack/gotools.js';
import type { TestStack } from './test-stack.js';

const LIMIT_MS = 120_000;

export interface CrictlResult {
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

/** crictl, the client that node operators use, on one CRI socket. */
export interface Crictl {
  /** Runs crictl until it ends. stdin and stdout can be files. */
  run(args: readonly string[], files?: { stdin?: string; stdout?: string }): Promise<CrictlResult>;
  /** With `ignore` the output is discarded and costs this process nothing. */
  start(args: readonly string[], stdout?: 'pipe' | 'ignore'): ChildProcess;
  /** Returns the command as a line for a shell, for a program that gives crictl a terminal. */
  line(args: readonly string[]): string;
}

/** Builds crictl first if it does not exist. */
export async function crictl(stack: TestStack, socket: string): Promise<Crictl> {
  const program = await ensureGoTool(stack.layout, 'crictl');
  const config = join(dirname(socket), 'crictl.yaml');
  const endpoint = `unix://${socket}`;
  await writeFile(config, `runtime-endpoint: ${endpoint}\nimage-endpoint: ${endpoint}\ntimeout: 60\n`);
  const all = (args: readonly string[]): string[] => ['--config', config, ...args];

  return {
    start: (args, stdout = 'pipe') => spawn(program, all(args), { stdio: ['ignore', stdout, 'pipe'] }),
    line: (args) => [program, ...all(args)].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' '),
    async run(args, files = {}) {
      const input = await open(files.stdin ?? '/dev/null', 'r');
      const output = files.stdout === undefined ? undefined : await open(files.stdout, 'w');
      try {
        const child = spawn(program, all(args), { stdio: [input.fd, output?.fd ?? 'pipe', 'pipe'], timeout: LIMIT_MS });
        const [stdout, stderr, code] = await Promise.all([
          textOf(child.stdout),
          textOf(child.stderr),
          new Promise<number | string>((resolve) => child.once('close', (end, signal) => resolve(end ?? signal ?? ''))),
        ]);
        return { code, stdout, stderr };
      } finally {
        await input.close();
        await output?.close();
      }
    },
  };
}

/**
 * Resolves with the port that `crictl port-forward POD :PORT` chose. Its later output about connections is read and
 * ignored.
 */
export function forwardedPort({ stdout }: ChildProcess): Promise<number> {
  let said = '';
  return new Promise((resolve, reject) => {
    stdout?.on('data', (chunk) => {
      said += String(chunk);
      const port = /Forwarding from 127\.0\.0\.1:(\d+)/.exec(said)?.[1];
      if (port !== undefined) resolve(Number(port));
    });
    stdout?.on('end', () => reject(new Error(`crictl port-forward said ${JSON.stringify(said)}`)));
  });
}

export async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

async function textOf(stream: Readable | null): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream ?? []) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
