/** Debian's and Go's names of the architectures that crid is packaged for, with Node's. */
export const ARCHITECTURES = { amd64: 'x64', arm64: 'arm64' } as const;
export type Architecture = keyof typeof ARCHITECTURES;

/** Returns the architecture that a command line names. */
export function architectureOf(name: string): Architecture {
  const found = NAMES.find((each) => each === name);
  if (!found) throw new Error(`--arch ${name}: expected one of ${NAMES.join(', ')}`);
  return found;
}

/** Returns the architecture of this process; undefined on one that crid is not packaged for. */
export const ownArchitecture = (): Architecture | undefined =>
  NAMES.find((name) => ARCHITECTURES[name] === process.arch);

const NAMES = Object.keys(ARCHITECTURES) as Architecture[];
