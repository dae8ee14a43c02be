import type { Containerd } from '../containerd/containerd.js';

const OLDEST_MAJOR = 2;

/** Returns containerd's version, and the problem if crid cannot use it. */
export async function askVersion(
  { introspection }: Pick<Containerd, 'introspection'>,
  address: string,
): Promise<{ readonly version: string; readonly problem: string | undefined }> {
  const { version } = await introspection.version();
  const problem = `containerd at ${address} is ${version}; crid needs ${OLDEST_MAJOR}.0 or newer`;
  return { version, problem: isAtLeast(version, OLDEST_MAJOR, 0) ? undefined : problem };
}

/** Compares the first two numbers of a version of containerd, such as `v2.3.7`. False if it begins with no number. */
export function isAtLeast(version: string, major: number, minor: number): boolean {
  const [, first = '', second = '0'] = /^v?(\d+)(?:\.(\d+))?/.exec(version) ?? [];
  return Number(first) > major || (Number(first) === major && Number(second) >= minor);
}
