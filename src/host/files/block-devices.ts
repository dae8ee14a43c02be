import { readdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { CriError } from '../../base/errors.js';
import { errnoName, fsError } from '../syscall/errno.js';
import { statDevice, type Device } from './device-nodes.js';

const MAX_MATCHES = 4096;

/**
 * Returns the block devices at these absolute paths, links followed, sorted by path. A segment of a path may have `*`,
 * `?` and `[…]` (Go's filepath.Glob). A path that leads to anything else is skipped, because devices come and go.
 * RESOURCE_EXHAUSTED past 4,096 matches.
 */
export async function blockDevices(patterns: readonly string[]): Promise<Device[]> {
  const found = new Map<string, Device>();
  for (const pattern of patterns) {
    for (const path of await matches(pattern)) {
      const real = await realpath(path).catch(unlessMissing);
      const device = real === undefined ? undefined : await statDevice(real);
      if (device !== undefined && device !== 'directory' && device.type === 'b') found.set(device.path, device);
    }
  }
  return [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function matches(pattern: string): Promise<string[]> {
  let paths = ['/'];
  for (const segment of pattern.split('/').filter(Boolean)) {
    const expression = /[*?[]/.test(segment) ? expressionOf(segment) : undefined;
    const next = await Promise.all(
      paths.map(async (path) => {
        if (!expression) return [join(path, segment)];
        const names = (await readdir(path).catch(unlessMissing)) ?? [];
        return names.filter((name) => expression.test(name)).map((name) => join(path, name));
      }),
    );
    paths = next.flat();
    if (paths.length > MAX_MATCHES)
      throw new CriError('RESOURCE_EXHAUSTED', `"${pattern}" matches more than ${MAX_MATCHES} paths`);
  }
  return paths;
}

function expressionOf(segment: string): RegExp {
  const source = segment.replaceAll(/\[(\^?)([^\]]*)\]|[*?]|[^*?[]+|\[/g, (part, not?: string, set?: string) => {
    if (set !== undefined) return `[${not ?? ''}${set.replaceAll(/[\\[\]^]/g, '\\$&')}]`;
    if (part === '*') return '[^/]*';
    return part === '?' ? '[^/]' : part.replaceAll(/[.+^${}()|[\]\\]/g, '\\$&');
  });
  try {
    return new RegExp(`^${source}$`, 's');
  } catch {
    throw new CriError('INVALID_ARGUMENT', `bad pattern "${segment}"`);
  }
}

function unlessMissing(thrown: unknown): undefined {
  if (!['ENOENT', 'ENOTDIR'].includes(errnoName(thrown) ?? '')) throw fsError(thrown, 'devices of a block I/O class');
}
