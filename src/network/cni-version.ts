/** The newest version of the CNI specification whose verbs and results crid knows. */
export const NEWEST_CNI_VERSION = '1.1.0';

/** A configuration without `cniVersion` means the first version (CNI spec 0.1.0 to 1.1.0, "Section 1"). */
export const OLDEST_CNI_VERSION = '0.1.0';

/** Major, minor and patch; undefined when `text` is no version. A missing minor or patch is 0, as in libcni. */
export function parseVersion(text: string): readonly [number, number, number] | undefined {
  const match = /^(\d{1,6})(?:\.(\d{1,6}))?(?:\.(\d{1,6}))?$/.exec(text);
  if (!match) return undefined;
  return [Number(match[1]), Number(match[2] ?? 0), Number(match[3] ?? 0)];
}

/** Negative, 0 or positive, as for sort. What is no version sorts before all that are. */
export function compareVersions(left: string, right: string): number {
  const a = parseVersion(left) ?? [-1, 0, 0];
  const b = parseVersion(right) ?? [-1, 0, 0];
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}

export const atLeast = (version: string, wanted: string): boolean =>
  compareVersions(version || OLDEST_CNI_VERSION, wanted) >= 0;

/** The newest version of `offered` that crid knows; undefined when it knows none. */
export function newestKnown(offered: readonly string[]): string | undefined {
  return offered
    .filter((version) => compareVersions(version, NEWEST_CNI_VERSION) <= 0)
    .sort(compareVersions)
    .at(-1);
}
