import type { Containerd } from '../containerd/containerd.js';

const OLDEST_MAJOR = 2;

/** Returns containerd's version, and the problem if crid cannot use it. */
export async function askVersion(
  { introspection }: Pick<Containerd, 'introspection'>,
  address: string,
): Promise<{ readonly version: string; readonly problem: string | undefined }> {
  const { version } = await introspection.version();
  const isOld = !(Number.parseInt(version.replace(/^v/, ''), 10) >= OLDEST_MAJOR);
  const problem = `containerd at ${address} is ${version}; crid needs ${OLDEST_MAJOR}.0 or newer`;
  return { version, problem: isOld ? problem : undefined };
}
