import assert from 'node:assert/strict';
import { test } from 'node:test';
import { platformRank } from '../../../src/containerd/platform.js';

/**
 * `os/architecture/variant` as images write it, best first and in groups of equal rank, for a node of each
 * architecture: the matches of `Only` of github.com/containerd/platforms v1.0.0-rc.5, which containerd 2.4.2 uses.
 */
const RUNS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  x64: [
    ['linux/amd64/', 'linux/x86_64/', 'linux/x86-64/', 'Linux/AMD64/', '/amd64/', 'linux/amd64/v1'],
    ['linux/386/', 'linux/i386/', 'linux/i386/any'],
  ],
  arm64: [
    ['linux/arm64/', 'linux/aarch64/', 'linux/arm64/v8', 'linux/AArch64/8', 'linux/arm64/v8.0'],
    ['linux/arm/v8', 'linux/arm/8'],
    ['linux/arm/v7', 'linux/arm/', 'linux/armhf/', 'linux/arm/7'],
    ['linux/arm/v6', 'linux/armel/', 'linux/arm/6'],
    ['linux/arm/v5', 'linux/arm/5'],
  ],
  arm: [['linux/arm/v7', 'linux/arm/', 'linux/armhf/v9'], ['linux/arm/v6', 'linux/armel/'], ['linux/arm/v5']],
  riscv64: [['linux/riscv64/', '/RISCV64/']],
};

const NEVER = [
  'windows/amd64/',
  'darwin/arm64/',
  'linux/amd64/v2',
  'linux/amd64/v3',
  'linux/386/v1',
  'linux/arm64/v9',
  'linux/mips/',
  'linux//',
  '//',
  'unknown/unknown/',
  'linux/constructor/',
];

const rank = (text: string, arch: string): number | undefined => {
  const [os = '', architecture = '', variant = ''] = text.split('/');
  return platformRank({ os, architecture, variant }, arch);
};

test('platforms are matched and ordered as containerd does', () => {
  for (const [arch, groups] of Object.entries(RUNS)) {
    assert.deepEqual(
      groups.map((group) => group.map((text) => rank(text, arch))),
      groups.map((group, index) => group.map(() => index)),
      arch,
    );
    assert.deepEqual(
      NEVER.map((text) => rank(text, arch)),
      NEVER.map(() => undefined),
      arch,
    );
  }
});
