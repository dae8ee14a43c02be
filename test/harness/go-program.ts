import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { run } from '../../tools/stack/exec.js';
import { cacheFolder } from '../../tools/stack/layout.js';
import { withLock } from '../../tools/stack/lock.js';
import { projectRoot } from '../../tools/stack/project.js';

const LIMIT_MS = 600_000;

/** Versions of Go modules, such as `{ 'github.com/containerd/nri': 'v0.12.5' }`. */
type Modules = Readonly<Record<string, string>>;

/**
 * Returns the path of the program of `test/go/NAME`, built with these modules. It is built once; only the first run
 * needs Go and the network.
 */
export async function ensureGoProgram(name: string, modules: Modules): Promise<string> {
  const source = join(projectRoot, 'test', 'go', name, 'main.go');
  return ensure(name, modules, { identity: await readFile(source), source });
}

/** As `ensureGoProgram`, for a program that is a package of one of the modules: it is built as it is. */
export const ensureGoPackage = (name: string, modules: Modules): Promise<string> =>
  ensure(basename(name), modules, { identity: name, package: name });

type Program = { readonly identity: string | Buffer } & (
  { readonly source: string; readonly package?: undefined } | { readonly package: string }
);

async function ensure(name: string, modules: Modules, program: Program): Promise<string> {
  const requires = Object.entries(modules).map(([module, version]) => `require ${module} ${version}`);
  const goMod = ['module crid.invalid/test', 'go 1.24', ...requires, ''].join('\n');
  const hash = createHash('sha256').update(goMod).update(program.identity);
  const folder = join(cacheFolder(), 'go', 'test');
  const path = join(folder, `${name}-${hash.digest('hex').slice(0, 12)}`);
  if (existsSync(path)) return path;
  await mkdir(folder, { recursive: true });
  await withLock(`${path}.lock`, async () => {
    if (!existsSync(path)) await build(program, goMod, path);
  });
  return path;
}

async function build(program: Program, goMod: string, path: string): Promise<void> {
  const work = await mkdtemp(join(path, '..', 'build-'));
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'auto' };
  const go = (...args: string[]): Promise<string> => run('go', args, { cwd: work, env, timeoutMs: LIMIT_MS });
  try {
    await writeFile(join(work, 'go.mod'), goMod);
    if (program.package === undefined) {
      await copyFile(program.source, join(work, 'main.go'));
      await go('mod', 'tidy');
    }
    await go('build', '-ldflags', '-s -w', '-o', 'program', program.package ?? '.');
    await rename(join(work, 'program'), path);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
