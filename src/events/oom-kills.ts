import { posix } from 'node:path';
import { cgroupDirectory } from '../spec/cgroup-path.js';
import type { Container } from '../state/records.js';
import type { State } from '../state/state.js';

export const SIGKILL_EXIT_CODE = 128 + 9;

/** Distinguishes the kernel's OOM kills from other kills. */
export interface OomKills {
  /** Notes an OOM kill that an event has reported. */
  note(id: string): void;
  /**
   * Whether the kernel killed the container's first process for lack of memory. The kernel does that with SIGKILL, so
   * only exit code 137 can mean it: the OOM kill of a child does not explain a later SIGTERM or a normal exit. Another
   * SIGKILL after a child's OOM kill cannot be told apart: the counter does not say which process was killed.
   */
  wereTheEndOf(container: Container, exitCode: number): Promise<boolean>;
}

/**
 * The event may be late or lost, so counters are read too. A container's own cgroup counts OOM kills, but systemd
 * removes a scope as soon as its last process is gone. Then the slice of the pod counts, for all containers of the pod:
 * the difference since the container was made, or since a known kill of another container of the pod.
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

/**
 * Returns the slice of a container's pod; undefined when the slice is not the pod's alone, or the cgroups are not
 * systemd's.
 */
function sliceOf(container: Container | undefined): string | undefined {
  if (container === undefined || !container.cgroupsPath.includes(':')) return undefined;
  const slice = posix.dirname(cgroupDirectory(container.cgroupsPath));
  return slice === '/' || slice === '/system.slice' ? undefined : slice;
}
