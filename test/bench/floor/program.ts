import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';

export interface ProgramOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly input?: string;
}

/** Runs a program until it ends, and returns its stdout. Fails with its output if it fails. */
export async function output(program: string, args: readonly string[], options: ProgramOptions = {}): Promise<string> {
  const { env = process.env, cwd, input = '' } = options;
  const child = spawn(program, [...args], { env, cwd, stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit') as Promise<[number | null]>;
  child.stdin.on('error', () => undefined).end(input);
  const [said, [code]] = await Promise.all([text(child.stdout), ended]);
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${said}`);
  return said;
}

/** Runs a program whose children keep its stdio, and waits for its own end only. */
export async function quiet(program: string, args: readonly string[], options: ProgramOptions = {}): Promise<void> {
  const { env = process.env, cwd } = options;
  const child = spawn(program, [...args], { env, cwd, stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}`);
}
