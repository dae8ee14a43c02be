import { posix } from 'node:path';
import { cgroupDirectory } from '../spec/cgroup-path.js';
import type { Container } from '../state/records.js';
import type { State } from '../state/state.js';

export const SIGKILL_EXIT_CODE = 128 + 9;

/** Tells the kernel's OOM kills from other kills. */
export interface OomKills {
  /** An event has told of one. */
  note(id: string): void;
  /**
   * Whether the kernel killed the container's first process for memory. The kernel does that with SIGKILL, so only exit
   * code 137 can be it: a kill of a child says nothing of a later SIGTERM or of a good end. A SIGKILL from elsewhere after
   * a child's OOM kill cannot be told apart: the counter does not say which process it counted.
   */
  wereTheEndOf(container: Container, exitCode: number): Promise<boolean>;
}

/**
 * The event may be late or lost. A container's own cgroup counts the kills too, but systemd takes a scope away as soon as
 * its last process has gone. Then the slice of the pod tells, which counts those of all its containers: what it has
 * counted since the container was made, and since a kill of another one there was known.
 */
export function createOomKills(
  containers: State['containers'],
  killsOf: (cgroup: string) => Promise<number | undefined>,
): OomKills {
  const seen = new Set<string>();
  const before = new Map<string, Promise<number | undefined>>();
  const count = (slice: string | undefined): Promise<number | undefined> =>
    slice === undefined ? Promise.resolve(undefined) : killsOf(slice).catch(() => undefined);
  const note = (id: string): void => {
    seen.add(id);
    const slice = sliceOf(containers.byId(id));
    if (slice === undefined) return;
    for (const other of containers.list()) {
      if (other.id !== id && before.has(other.id) && sliceOf(other) === slice) before.set(other.id, count(slice));
    }
  };
  containers.onChange((old, now) => {
    if (now && !old && sliceOf(now) !== undefined) before.set(now.id, count(sliceOf(now)));
    if (now || !old) return;
    seen.delete(old.id);
    before.delete(old.id);
  });
  return {
    note,
    async wereTheEndOf(container, exitCode) {
      if (exitCode !== SIGKILL_EXIT_CODE) return false;
      if (seen.has(container.id)) return true;
      const own = await count(cgroupDirectory(container.cgroupsPath) || undefined);
      const earlier = await before.get(container.id);
      const kills = own ?? ((await count(sliceOf(container))) ?? 0) - (earlier ?? Infinity);
      if (kills > 0) note(container.id);
      return kills > 0;
    },
  };
}

/** The slice of a container's pod; undefined where it is not the pod's alone, or cgroups are not systemd's. */
function sliceOf(container: Container | undefined): string | undefined {
  if (container === undefined || !container.cgroupsPath.includes(':')) return undefined;
  const slice = posix.dirname(cgroupDirectory(container.cgroupsPath));
  return slice === '/' || slice === '/system.slice' ? undefined : slice;
}
