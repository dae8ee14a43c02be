import { existsSync } from 'node:fs';
import { run, runWithRetries, which } from './exec.js';

/** A requirement of this host, and the Debian package that provides it. */
export interface HostNeed {
  readonly package: string;
  readonly isHere: () => boolean | Promise<boolean>;
}

const INSTALL_LIMIT_MS = 600_000;
const TRIES = 3;
/** Waits for other users of apt. Keeps a changed configuration file without asking. */
const APT_OPTIONS = ['-o', 'DPkg::Lock::Timeout=300', '-o', 'Dpkg::Options::=--force-confold'];

export const hasProgram = (name: string) => (): boolean => which(name) !== undefined;

/** The requirements to run a stack. */
export const STACK_NEEDS: readonly HostNeed[] = [
  { package: 'iptables', isHere: hasProgram('iptables') },
  { package: 'iproute2', isHere: hasProgram('ip') },
];

/** The requirements to build the images. */
export const IMAGE_NEEDS: readonly HostNeed[] = [
  { package: 'gcc', isHere: hasProgram('gcc') },
  { package: 'libc6-dev', isHere: hasStaticLibc },
];

export async function missingPackages(needs: readonly HostNeed[]): Promise<string[]> {
  const missing: string[] = [];
  for (const need of needs) if (!(await need.isHere())) missing.push(need.package);
  return missing;
}

export async function installHostPackages(packages: readonly string[]): Promise<void> {
  const command = `apt-get install --no-install-recommends ${packages.join(' ')}`;
  if (!which('apt-get') || process.getuid?.() !== 0) throw new Error(`please run, as root: ${command}`);
  const options = { timeoutMs: INSTALL_LIMIT_MS, env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
  const apt = (...args: string[]): Promise<string> =>
    runWithRetries(TRIES, 'apt-get', [...APT_OPTIONS, ...args], options);
  await apt('update', '-qq');
  await apt('install', '-yqq', '--no-install-recommends', ...packages);
}

async function hasStaticLibc(): Promise<boolean> {
  if (!which('gcc')) return false;
  // If gcc does not find the file, it prints the bare name.
  const path = (await run('gcc', ['-print-file-name=libc.a'])).trim();
  return path.startsWith('/') && existsSync(path);
}
