import { CriError } from '../base/errors.js';

interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant: string;
}

/** Node's names of architectures, as OCI images name them (the Go names). */
const ARCHITECTURES: Readonly<Record<string, Omit<Platform, 'os'>>> = {
  x64: { architecture: 'amd64', variant: '' },
  arm64: { architecture: 'arm64', variant: '' },
  arm: { architecture: 'arm', variant: 'v7' },
  ppc64: { architecture: 'ppc64le', variant: '' },
  riscv64: { architecture: 'riscv64', variant: '' },
  loong64: { architecture: 'loong64', variant: '' },
};

export function hostPlatform(arch: string = process.arch): Platform {
  const known = ARCHITECTURES[arch];
  if (known === undefined) throw new CriError('UNIMPLEMENTED', `no OCI platform is known for architecture "${arch}"`);
  return { os: 'linux', ...known };
}
