/** CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881 are fixed in these releases, and in all later series. */
const FIXED: readonly Release[] = [
  [1, 2, 8, Infinity],
  [1, 3, 3, Infinity],
  [1, 4, 0, 3],
];

/** Major, minor, patch, and the number of a release candidate: Infinity for the release itself. */
type Release = readonly [major: number, minor: number, patch: number, candidate: number];

/** Returns the version of runc from the output of `runc features`; undefined for another runtime. */
export function runcVersion(features: unknown): string | undefined {
  const { annotations } = (features ?? {}) as { annotations?: Readonly<Record<string, unknown>> };
  const version = annotations?.['org.opencontainers.runc.version'];
  return typeof version === 'string' ? version : undefined;
}

/**
 * Returns what is wrong with a version of runc (`1.3.2`, `1.4.0-rc.2`); undefined when it has the fixes or is
 * unreadable.
 */
export function runcProblem(version: string): string | undefined {
  const found = /^(\d+)\.(\d+)\.(\d+)(?:-rc\.?(\d+))?/.exec(version);
  if (!found) return undefined;
  const release: Release = [Number(found[1]), Number(found[2]), Number(found[3]), Number(found[4] ?? Infinity)];
  const sameSeries = FIXED.find(([major, minor]) => major === release[0] && minor === release[1]);
  if (isAtLeast(release, sameSeries ?? FIXED.at(-1)!)) return undefined;
  return `runc ${version}: containers can write to the host (CVE-2025-31133, CVE-2025-52565, CVE-2025-52881); they are fixed in 1.2.8, 1.3.3 and 1.4.0, unless your distribution has the fixes in this version`;
}

function isAtLeast(release: Release, other: Release): boolean {
  const index = release.findIndex((part, position) => part !== other[position]);
  return index < 0 || release[index]! > other[index]!;
}
