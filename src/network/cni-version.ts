/** The newest version of the CNI specification whose verbs and results crid knows. */
const NEWEST_CNI_VERSION = '1.1.0';

/** A configuration without `cniVersion` means the first version (CNI spec 0.1.0 to 1.1.0, "Section 1"). */
export const OLDEST_CNI_VERSION = '0.1.0';

/** Returns major, minor and patch; undefined for a malformed version. A missing minor or patch is 0, as in libcni. */
export function parseVersion(text: string): readonly [number, number, number] | undefined {
  const match = /^(\d{1,6})(?:\.(\d{1,6}))?(?:\.(\d{1,6}))?$/.exec(text);
  if (!match) return undefined;
  return [Number(match[1]), Number(match[2] ?? 0), Number(match[3] ?? 0)];
}

/** Returns a negative number, 0 or a positive one, as for sort. A malformed version sorts before all others. */
export function compareVersions(left: string, right: string): number {
  const a = parseVersion(left) ?? [-1, 0, 0];
  const b = parseVersion(right) ?? [-1, 0, 0];
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}

export const atLeast = (version: string, wanted: string): boolean =>
  compareVersions(version || OLDEST_CNI_VERSION, wanted) >= 0;

/** Returns the newest version in `offered` that crid supports; undefined when there is none. */
export function newestKnown(offered: readonly string[]): string | undefined {
  return offered
    .filter((version) => compareVersions(version, NEWEST_CNI_VERSION) <= 0)
    .sort(compareVersions)
    .at(-1);
}
