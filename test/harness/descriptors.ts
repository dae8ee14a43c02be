import { readdirSync, readlinkSync } from 'node:fs';

/**
 * Returns the number of open descriptors of a process by kind: `socket`, `pipe`, `fifo`, `anon_inode:[eventpoll]`, …
 */
export function descriptors(pid: number): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const kind = kindOf(target(`/proc/${pid}/fd/${fd}`));
    if (kind !== '') counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

/** Returns the kinds whose count has grown, with both numbers. */
export const grown = (
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
): Record<string, string> =>
  Object.fromEntries(
    Object.entries(after)
      .filter(([kind, count]) => count > (before[kind] ?? 0))
      .map(([kind, count]) => [kind, `${before[kind] ?? 0} -> ${count}`]),
  );

function target(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    // The descriptor was closed meanwhile.
    return '';
  }
}

/** A path is a `fifo` (the FIFOs of a container's streams) or a `file` (all others). */
function kindOf(path: string): string {
  if (path.startsWith('/')) return /-(stdin|stdout|stderr)( \(deleted\))?$/.test(path) ? 'fifo' : 'file';
  return path.replace(/:\[\d+\]$/, '');
}
