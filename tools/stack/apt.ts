import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exec, retry } from './exec.js';

const KEYRINGS = ['debian-archive-keyring.gpg', 'debian-archive-keyring.pgp'];
const NETWORK_TIMEOUT_MS = 300_000;
const ATTEMPTS = 3;
const PAUSE_MS = 2000;

/** Downloads .deb files of `suite` into `folder`, through an apt configuration of its own that leaves the host's alone. */
export async function downloadDebs(folder: string, suite: string, packages: readonly string[]): Promise<string[]> {
  const apt = join(folder, 'apt');
  const debs = join(folder, 'debs');
  for (const dir of ['lists/partial', 'cache/archives/partial']) await mkdir(join(apt, dir), { recursive: true });
  await mkdir(debs, { recursive: true });
  const keyring = KEYRINGS.map((name) => `/usr/share/keyrings/${name}`).find(existsSync);
  if (keyring === undefined)
    throw new Error('no Debian keyring in /usr/share/keyrings: install debian-archive-keyring');
  await writeFile(join(apt, 'sources.list'), `deb [signed-by=${keyring}] ${await debianMirror()} ${suite} main\n`);
  const config = join(apt, 'apt.conf');
  await writeFile(
    config,
    // A mirror may be a snapshot whose Release file is past its date; its signature is checked all the same.
    `Dir::State::Lists "${apt}/lists";
Dir::Etc::SourceList "${apt}/sources.list";
Dir::Etc::SourceParts "-";
Dir::Cache "${apt}/cache";
APT::Sandbox::User "root";
Acquire::Check-Valid-Until "false";
`,
  );
  const env = { ...process.env, APT_CONFIG: config };
  const get = (...args: string[]) =>
    retry(ATTEMPTS, PAUSE_MS, () =>
      exec('apt-get', ['-q', ...args], { cwd: debs, env, timeoutMs: NETWORK_TIMEOUT_MS }),
    );
  await get('update');
  await get('download', ...packages);
  return (await readdir(debs)).filter((name) => name.endsWith('.deb')).map((name) => join(debs, name));
}

/** The .deb of the host's own suite. */
export async function downloadHostDeb(folder: string, name: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const options = { cwd: folder, timeoutMs: NETWORK_TIMEOUT_MS };
  await retry(ATTEMPTS, PAUSE_MS, async () => {
    await exec('apt-get', ['-q', 'download', name], options).catch(async () => {
      await exec('apt-get', ['-q', 'update'], options);
      await exec('apt-get', ['-q', 'download', name], options);
    });
  });
  const deb = (await readdir(folder)).find((file) => file.startsWith(`${name}_`) && file.endsWith('.deb'));
  if (deb === undefined) throw new Error(`apt-get download ${name} left no file in ${folder}`);
  return join(folder, deb);
}

/** Installs packages on the host. */
export async function installOnHost(packages: readonly string[]): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const install = ['-q', '-y', '--no-install-recommends', 'install', ...packages];
  await retry(ATTEMPTS, PAUSE_MS, async () => {
    await exec('apt-get', ['-q', 'update'], { env, timeoutMs: NETWORK_TIMEOUT_MS });
    await exec('apt-get', install, { env, timeoutMs: NETWORK_TIMEOUT_MS });
  });
}

/** The first URI among the host's apt sources that serves the host's own Debian release. */
async function debianMirror(): Promise<string> {
  const release = /^VERSION_CODENAME=(\S+)/m.exec(await readFile('/etc/os-release', 'utf8'))?.[1] ?? 'stable';
  for (const text of await sourceFiles()) {
    const found =
      text.split(/\n\s*\n/).flatMap((stanza) => stanzaMirror(stanza, release))[0] ?? lineMirror(text, release);
    if (found !== undefined) return found.replace(/\/$/, '');
  }
  throw new Error(`no source for Debian ${release} in /etc/apt`);
}

async function sourceFiles(): Promise<string[]> {
  const folder = '/etc/apt/sources.list.d';
  const names = await readdir(folder).catch(() => []);
  const files = names.filter((name) => /\.(sources|list)$/.test(name)).map((name) => join(folder, name));
  const texts = await Promise.all(
    [...files.sort(), '/etc/apt/sources.list'].map((file) => readFile(file, 'utf8').catch(() => '')),
  );
  return texts;
}

/** sources.list(5), deb822 style. */
function stanzaMirror(stanza: string, release: string): string[] {
  const field = (name: string): string[] =>
    new RegExp(`^${name}:(.*)$`, 'im').exec(stanza)?.[1]?.trim().split(/\s+/) ?? [];
  const serves = field('Suites').some((suite) => [release, 'stable', 'testing', 'unstable', 'sid'].includes(suite));
  return field('Types').includes('deb') && serves ? field('URIs').slice(0, 1) : [];
}

/** sources.list(5), one-line style. */
const lineMirror = (text: string, release: string): string | undefined =>
  new RegExp(`^deb\\s+(?:\\[[^\\]]*\\]\\s+)?(\\S+)\\s+(?:${release}|stable|testing|unstable|sid)\\s`, 'm').exec(
    text,
  )?.[1];
