import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { KNOWN_CAPABILITIES } from '../../../src/spec/security/known-capabilities.js';
import { defaultSeccompProfile } from '../../../src/spec/security/seccomp-default.js';
import { differences } from './spec-differences.js';

/** The containerd release whose RuntimeDefault profile crid implements. */
const CONTAINERD = 'v2.4.2';
const SHOWN = 20;
const LIMIT_MS = 120_000;
/** Node's names and Go's names of the architectures that crid runs on. */
const ARCHITECTURES = {
  x64: 'amd64',
  arm64: 'arm64',
  arm: 'arm',
  ppc64: 'ppc64le',
  riscv64: 'riscv64',
  loong64: 'loong64',
};
const SETS: readonly (readonly string[])[] = [[], ...KNOWN_CAPABILITIES.map((name) => [name]), KNOWN_CAPABILITIES];

test(`RuntimeDefault is the profile of containerd ${CONTAINERD}, on each architecture and with each capability`, async () => {
  const theirs = await profilesOfContainerd();
  const found = Object.entries(ARCHITECTURES).flatMap(([machine, architecture]) =>
    SETS.flatMap((capabilities, index) =>
      differences(
        { syscalls: [], ...withoutZeros(defaultSeccompProfile(capabilities, machine)) },
        { syscalls: [], ...theirs[architecture]?.[index] },
      ).map((line) => `${machine} with ${capabilities[0] ?? 'no capability'}: ${line}`),
    ),
  );
  assert.deepEqual(found.slice(0, SHOWN), []);
});

/** Go omits a `valueTwo` of 0. */
const withoutZeros = (profile: object): object =>
  JSON.parse(
    JSON.stringify(profile, (key, value: unknown) => (key === 'valueTwo' && value === 0 ? undefined : value)),
  ) as object;

/**
 * Returns containerd's profiles by architecture, in the order of SETS. It runs two files of containerd with the
 * architecture as a variable, without the rest of containerd, whose modules take minutes to load.
 */
async function profilesOfContainerd(): Promise<Record<string, object[]>> {
  const folder = await mkdtemp(join(tmpdir(), 'crid-seccomp-'));
  const go = async (...args: string[]): Promise<string> => {
    const env = { ...process.env, GOFLAGS: '-mod=mod' };
    return (await run('go', args, { cwd: folder, env, timeout: LIMIT_MS, maxBuffer: 2 ** 26 })).stdout;
  };
  try {
    await writeFile(join(folder, 'go.mod'), 'module profiles\n');
    const downloaded = await go('mod', 'download', '-json', `github.com/containerd/containerd/v2@${CONTAINERD}`);
    const { Dir } = JSON.parse(downloaded) as { Dir: string };
    const versions = (await readFile(join(Dir, 'go.mod'), 'utf8')).match(/^\t(\S+\/runtime-spec|\S+\/x\/sys) \S+$/gm);
    await writeFile(join(folder, 'go.mod'), `module profiles\n\nrequire (\n${versions?.join('\n')}\n)\n`);
    const source = await readFile(join(Dir, 'contrib', 'seccomp', 'seccomp_default.go'), 'utf8');
    const movable = source
      .replace('package seccomp', 'package main')
      .replaceAll('runtime.GOARCH', 'architecture')
      .replace('\t"runtime"\n', '')
      .replace('github.com/containerd/containerd/v2/pkg', 'profiles');
    await writeFile(join(folder, 'profile_linux.go'), movable);
    await cp(join(Dir, 'pkg', 'kernelversion'), join(folder, 'kernelversion'), { recursive: true });
    await writeFile(join(folder, 'main_linux.go'), PROGRAM);
    return JSON.parse(
      await go('run', '.', JSON.stringify(Object.values(ARCHITECTURES)), JSON.stringify(SETS)),
    ) as never;
  } finally {
    await rm(folder, { recursive: true });
  }
}

const run = promisify(execFile);

const PROGRAM = `package main

import (
	"encoding/json"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
)

var architecture string

func main() {
	var architectures []string
	var sets [][]string
	if json.Unmarshal([]byte(os.Args[1]), &architectures) != nil || json.Unmarshal([]byte(os.Args[2]), &sets) != nil {
		os.Exit(2)
	}
	all := map[string][]*specs.LinuxSeccomp{}
	for _, architecture = range architectures {
		for _, set := range sets {
			capabilities := &specs.LinuxCapabilities{Bounding: set}
			spec := &specs.Spec{Process: &specs.Process{Capabilities: capabilities}, Linux: &specs.Linux{}}
			all[architecture] = append(all[architecture], DefaultProfile(spec))
		}
	}
	json.NewEncoder(os.Stdout).Encode(all)
}
`;
