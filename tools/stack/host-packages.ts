import { existsSync } from 'node:fs';
import { run, runWithRetries, which } from './exec.js';

const INSTALL_LIMIT_MS = 300_000;
const TRIES = 3;

/** What the stack needs of the host, by the Debian package that has it. */
const NEEDS: readonly { package: string; isHere: () => Promise<boolean> }[] = [
  { package: 'iptables', isHere: hasProgram('iptables') },
  { package: 'iproute2', isHere: hasProgram('ip') },
  { package: 'gcc', isHere: hasProgram('gcc') },
  { package: 'libc6-dev', isHere: hasStaticLibc },
];

export async function missingHostPackages(): Promise<string[]> {
  const missing: string[] = [];
  for (const need of NEEDS) if (!(await need.isHere())) missing.push(need.package);
  return missing;
}

export async function installHostPackages(packages: readonly string[]): Promise<void> {
  const command = `apt-get install --no-install-recommends ${packages.join(' ')}`;
  if (!which('apt-get') || process.getuid?.() !== 0) throw new Error(`please run, as root: ${command}`);
  const options = { timeoutMs: INSTALL_LIMIT_MS, env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
  await runWithRetries(TRIES, 'apt-get', ['update', '-qq'], options);
  await runWithRetries(TRIES, 'apt-get', ['install', '-yqq', '--no-install-recommends', ...packages], options);
}

function hasProgram(name: string): () => Promise<boolean> {
  return () => Promise.resolve(which(name) !== undefined);
}

async function hasStaticLibc(): Promise<boolean> {
  if (!which('gcc')) return false;
  // gcc answers the bare name of a file that it does not find.
  const path = (await run('gcc', ['-print-file-name=libc.a'])).trim();
  return path.startsWith('/') && existsSync(path);
}
