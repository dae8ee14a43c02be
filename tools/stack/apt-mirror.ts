import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export const DEBIAN_KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const APT = '/etc/apt';

/** Returns the Debian mirror of this host's apt configuration; a mirror has every suite. */
export async function debianMirror(): Promise<string> {
  if (!existsSync(DEBIAN_KEYRING)) {
    throw new Error(
      `the container stack comes from Debian packages, and ${DEBIAN_KEYRING} is not here: use a Debian host`,
    );
  }
  const parts = join(APT, 'sources.list.d');
  const names = await readdir(parts).catch(() => []);
  const files = [join(APT, 'sources.list'), ...names.map((name) => join(parts, name))];
  for (const file of files) {
    const text = await readFile(file, 'utf8').catch(() => '');
    const found = file.endsWith('.sources') ? fromStanzas(text) : file.endsWith('.list') ? fromLines(text) : undefined;
    if (found) return found;
  }
  throw new Error(`no Debian mirror in ${APT}/sources.list or ${parts}`);
}

/** Reads the deb822 format of sources.list(5). */
function fromStanzas(text: string): string | undefined {
  for (const stanza of text.split(/\n\s*\n/)) {
    const field = (name: string): string => new RegExp(`^${name}:[ \\t]*(.*)$`, 'im').exec(stanza)?.[1] ?? '';
    const uri = field('URIs').split(/\s+/)[0];
    if (uri && isDebian(uri, field('Suites'))) return uri;
  }
  return undefined;
}

/** Reads the one-line format. */
function fromLines(text: string): string | undefined {
  for (const [, uri, suite] of text.matchAll(/^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)/gm)) {
    if (uri && suite && isDebian(uri, suite)) return uri;
  }
  return undefined;
}

/** Other repositories (security updates, vendors) have other folder names. */
const isDebian = (uri: string, suites: string): boolean =>
  /\/debian\/?$/.test(uri) && suites.split(/\s+/).some((suite) => /^[a-z]+$/.test(suite));
