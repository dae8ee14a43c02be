import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Architecture } from './architectures.js';
import { run, runWithRetries, which } from './exec.js';
import { compileArgs, goModule, type GoModule, type GoTool } from './go-modules.js';
import type { Layout } from './layout.js';
import { withLock } from './lock.js';

const DOWNLOAD_LIMIT_MS = 600_000;
/** The kubelet takes three minutes, and more beside tests. */
const BUILD_LIMIT_MS = 1_800_000;
const TRIES = 3;

/** Returns the path of a tool, also before it is built. */
export const goToolPath = (layout: Layout, tool: GoTool): string => join(layout.goTools, goModule(tool).version, tool);

/**
 * Builds a tool from its Go module unless it exists. The first build of crictl and critest takes about a minute, of
 * containerd two and of the kubelet three or more.
 */
export async function ensureGoTool(layout: Layout, tool: GoTool): Promise<string> {
  const path = goToolPath(layout, tool);
  if (existsSync(path)) return path;
  await withLock(`${path}.lock`, async () => {
    if (!existsSync(path)) await build(tool, goModule(tool), { folder: join(path, '..'), GOARCH: layout.architecture });
  });
  return path;
}

interface Running {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly timeoutMs: number;
}

interface Target {
  readonly folder: string;
  readonly GOARCH: Architecture;
}

async function build(tool: GoTool, from: GoModule, { folder, GOARCH }: Target): Promise<void> {
  const go = goProgram();
  await mkdir(folder, { recursive: true });
  const work = await mkdtemp(join(folder, 'build-'));
  // A module may need a newer Go than the installed one, which Go then downloads as a module.
  const env = { ...process.env, GOARCH, CGO_ENABLED: '0', GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'auto' };
  const sources = from.programs.map((name) => (from.isModule ? from.module : `${from.module}/cmd/${name}`));
  try {
    const downloading = { cwd: work, env, timeoutMs: DOWNLOAD_LIMIT_MS };
    await writeGoMod(go, from, downloading);
    // Only this command and the line above use the network. A failed compilation needs no retry.
    await runWithRetries(TRIES, go, ['list', '-deps', '-test', ...sources], downloading);
    for (const [index, name] of from.programs.entries()) {
      const args = [...compileArgs(tool, from), '-o', join(work, name), sources[index] ?? ''];
      await run(go, args, { cwd: work, env, timeoutMs: BUILD_LIMIT_MS });
    }
    for (const name of from.programs) await rename(join(work, name), join(folder, name));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Writes a module that requires the tool's module, with the same version of the Go language. */
async function writeGoMod(go: string, { module, version }: GoModule, options: Running): Promise<void> {
  const file = join(options.cwd, 'go.mod');
  const head = 'module crid.invalid/tools\n';
  await writeFile(file, head);
  const theirs = await goModOf(go, `${module}@${version}`, options);
  const [language = 'go 1.26'] = /^go \S+$/m.exec(theirs) ?? [];
  const lines = [language, `require ${module} ${version}`, ...stagingReplacements(theirs, version)];
  await writeFile(file, [head, ...lines, ''].join('\n'));
}

async function goModOf(go: string, module: string, options: Running): Promise<string> {
  const answer = await runWithRetries(TRIES, go, ['mod', 'download', '-json', module], options);
  return readFile((JSON.parse(answer) as { GoMod: string }).GoMod, 'utf8');
}

/**
 * Kubernetes replaces its own libraries by its staging folder. Outside of its tree they are modules, with v0 where
 * Kubernetes has v1.
 */
function stagingReplacements(goMod: string, version: string): string[] {
  const libraries = [...goMod.matchAll(/^\s*(?:replace )?(\S+) => \.\/staging\//gm)].map(([, name = '']) => name);
  return libraries.map((name) => `replace ${name} => ${name} ${version.replace(/^v1/, 'v0')}`);
}

function goProgram(): string {
  const program = [which('go'), '/usr/local/go/bin/go'].find((path) => path !== undefined && existsSync(path));
  if (program === undefined) {
    throw new Error(
      `containerd, crictl, critest and kubelet are built from their Go modules: please install Go 1.26 or newer`,
    );
  }
  return program;
}
