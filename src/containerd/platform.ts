import { CriError } from '../base/errors.js';
import { isMachine, type Machine } from '../base/machine.js';

interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant: string;
}

/** The OCI (Go) names of Node's architectures. */
const ARCHITECTURES: Readonly<Record<Machine, Omit<Platform, 'os'>>> = {
  x64: { architecture: 'amd64', variant: '' },
  arm64: { architecture: 'arm64', variant: '' },
  arm: { architecture: 'arm', variant: 'v7' },
  ppc64: { architecture: 'ppc64le', variant: '' },
  riscv64: { architecture: 'riscv64', variant: '' },
  loong64: { architecture: 'loong64', variant: '' },
};

export function hostPlatform(arch: string = process.arch): Platform {
  if (!isMachine(arch)) throw new CriError('UNIMPLEMENTED', `no OCI platform is known for architecture "${arch}"`);
  return { os: 'linux', ...ARCHITECTURES[arch] };
}

/** A platform in the spelling of an image or an index. */
export type SpelledPlatform = Partial<Platform>;

/**
 * Returns how well an image of that platform suits a host: 0 is best, undefined means that it does not run there.
 * Spellings and fallbacks are those of containerd (github.com/containerd/platforms, Only).
 */
export function platformRank(spelled: SpelledPlatform, arch: string = process.arch): number | undefined {
  const { os, architecture, variant } = normalPlatform(spelled);
  if (os !== 'linux') return undefined;
  const rank = runnable(hostPlatform(arch)).indexOf(`${architecture}/${variant}`);
  return rank < 0 ? undefined : rank;
}

/** Every `architecture/variant` that the host runs, best first. */
function runnable({ architecture, variant }: Platform): string[] {
  const arm = ['v8', 'v7', 'v6', 'v5'].map((one) => `arm/${one}`);
  if (architecture === 'amd64') return ['amd64/', '386/'];
  if (architecture === 'arm64') return ['arm64/', ...arm];
  if (architecture === 'arm') return arm.slice(arm.indexOf(`arm/${variant}`));
  return [`${architecture}/${variant}`];
}

/** Other spellings of an architecture, with the variant that they imply; undefined keeps the given variant. */
const SPELLINGS: Readonly<Record<string, readonly [architecture: string, variant: string | undefined]>> = {
  i386: ['386', ''],
  x86_64: ['amd64', undefined],
  'x86-64': ['amd64', undefined],
  aarch64: ['arm64', undefined],
  armhf: ['arm', 'v7'],
  armel: ['arm', 'v6'],
};

/** Aliases of variants, by architecture. */
const VARIANTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  amd64: { v1: '' },
  arm64: { 8: '', v8: '', 'v8.0': '', 9: 'v9', '9.0': 'v9', 'v9.0': 'v9' },
  arm: { '': 'v7', 5: 'v5', 6: 'v6', 7: 'v7', 8: 'v8' },
};

function normalPlatform({ os = '', architecture = '', variant = '' }: SpelledPlatform): Platform {
  const written = architecture.toLowerCase();
  const spelling = Object.hasOwn(SPELLINGS, written) ? SPELLINGS[written] : undefined;
  const [name, implied] = spelling ?? [written, undefined];
  const given = implied ?? variant.toLowerCase();
  const meanings = Object.hasOwn(VARIANTS, name) ? VARIANTS[name] : undefined;
  const meant = meanings && Object.hasOwn(meanings, given) ? meanings[given] : undefined;
  return { os: os === '' ? 'linux' : os.toLowerCase(), architecture: name, variant: meant ?? given };
}
