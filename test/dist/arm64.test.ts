import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { VERSION } from '../../src/version.js';
import { run } from '../../tools/stack/exec.js';
import { EXTRACT_NEEDS, extractPackages } from '../../tools/stack/extract.js';
import { hasProgram, installHostPackages, missingPackages } from '../../tools/stack/host-packages.js';
import { projectRoot } from '../../tools/stack/project.js';

/**
 * `make test-arm64`: the archive for arm64 on another machine, with its own Node.js and its native part, in QEMU's
 * emulation of a process. The system calls are those of this machine's kernel; the emulator translates their arguments.
 */

const LIMIT_MS = 600_000;
const EMULATOR = 'qemu-aarch64-static';
const NEEDS = [{ package: 'qemu-user-static', isHere: hasProgram(EMULATOR) }, ...EXTRACT_NEEDS];
/** A Debian with the C library that crid's Node.js needs. */
const LIBRARIES = { suite: 'trixie', packages: ['libc6', 'libgcc-s1', 'libstdc++6'] };
/**
 * The tests of src/host/ that run in one process: the kernel cannot start a program of arm64 by itself. QEMU 7.2 has no
 * openat2 and no fsopen, so their tests are left out too.
 */
const FILES = [
  ...['files/foreign-paths', 'host', 'mount/mount-calls', 'namespace/loopback', 'namespace/netns'],
  ...['namespace/pin-namespaces', 'process/process-tree', 'process/shim-state', 'syscall/errno', 'systemd/sd-notify'],
].map((name) => `${name}.test.js`);

let folder = '';
let libraries = '';

before(async () => {
  const missing = await missingPackages(NEEDS);
  if (missing.length > 0) await installHostPackages(missing);
  libraries = await prepareLibraries();
  folder = await mkdtemp(join(projectRoot, 'build', 'test-arm64-'));
  const out = join(folder, 'out');
  const options = ['--arch', 'arm64', '--format', 'tar.gz', '--level', '1', '--out', out];
  await run(process.execPath, [join(projectRoot, 'build/tools/dist.js'), ...options], { timeoutMs: LIMIT_MS });
  await run('tar', ['-C', folder, '-xzf', join(out, `crid-${VERSION}-linux-arm64.tar.gz`)], { timeoutMs: LIMIT_MS });
});

after(() => rm(folder, { recursive: true, force: true }));

test('crid of the archive for arm64 runs on its own Node.js', async () => {
  const main = join(folder, 'lib/crid/build/bundle/main.js');
  assert.equal(await emulated([main, 'version']), `crid ${VERSION}\n`);
  // Loads the whole server, with its native part.
  const shown = await emulated([main, 'config', 'show', '--containerd-config', '', '--config', '']);
  assert.match(shown, /^listen = "\/run\/crid\/crid\.sock" # default$/m);
});

for (const file of FILES) {
  test(`the native calls on arm64: ${file}`, async () => {
    await emulated([join(projectRoot, 'build/test/unit/host', file)]);
  });
}

/** Runs the Node.js of the archive. The native part of koffi comes from the archive too. */
const emulated = (args: readonly string[]): Promise<string> =>
  run(EMULATOR, ['-L', libraries, join(folder, 'lib/crid/bin/node'), ...args], {
    timeoutMs: LIMIT_MS,
    // Without the variable of this runner, the tests there report as text.
    env: { ...process.env, NODE_PATH: join(folder, 'lib/crid/node_modules'), NODE_TEST_CONTEXT: undefined },
  });

/** Returns a folder with the libraries of arm64, and nothing else, because the emulator looks there for every path. */
const prepareLibraries = (): Promise<string> =>
  extractPackages(`arm64-${LIBRARIES.suite}`, { architecture: 'arm64', ...LIBRARIES }, async (root, kept) => {
    await mkdir(join(kept, 'usr'));
    await rename(join(root, 'usr/lib'), join(kept, 'usr/lib'));
    await symlink('usr/lib', join(kept, 'lib'));
  });
