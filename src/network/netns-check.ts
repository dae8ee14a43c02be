import { withLimit } from '../base/time.js';
import { netnsIsOpen } from '../host/namespace/netns.js';

/** Whether a network namespace of any program may be open at a path. Never rejects. */
export type NetnsCheck = (path: string) => Promise<boolean>;

const LIMIT_MS = 2000;

/**
 * A path that cannot be looked at, or not within `limitMs`, counts as open. As long as one look hangs, all other paths
 * count as open too: each further look could occupy one more of Node's few threads for files.
 */
export function createNetnsCheck(
  look: (path: string) => Promise<boolean> = netnsIsOpen,
  limitMs = LIMIT_MS,
): NetnsCheck {
  let hanging = 0;
  return (path) => {
    if (hanging > 0) return Promise.resolve(true);
    const found = look(path).catch(() => true);
    return withLimit(found, limitMs, () => {
      hanging += 1;
      found.then(() => (hanging -= 1)).catch(() => undefined);
      return true;
    });
  };
}
