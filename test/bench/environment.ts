import { execFileSync } from 'node:child_process';
import { cpus, loadavg, release, totalmem } from 'node:os';
import type { Side } from './side.js';

const GIBIBYTE = 1024 ** 3;

export interface Environment {
  readonly date: string;
  readonly kernel: string;
  readonly cpus: number;
  readonly memoryGiB: number;
  /** The machine's load average over one minute, before the first call. */
  readonly load: number;
  readonly node: string;
  readonly containerd: string;
  /** The measured commit, with a `+` if the checkout had changes; empty outside a checkout. */
  readonly commit: string;
}

export async function environment(sides: { readonly reference: Pick<Side, 'runtime'> }): Promise<Environment> {
  const { runtime_version } = await sides.reference.runtime.version({});
  return {
    date: new Date().toISOString().slice(0, 10),
    kernel: release(),
    cpus: cpus().length,
    memoryGiB: Math.round(totalmem() / GIBIBYTE),
    load: loadavg()[0] ?? 0,
    node: process.version.slice(1),
    containerd: runtime_version.replace(/^v/, ''),
    commit: commit(),
  };
}

function commit(): string {
  const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8', stdio: 'pipe' }).trim();
  try {
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', '--', 'src', 'generated') && '+');
  } catch {
    return '';
  }
}
