import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run, runWithRetries, which } from './exec.js';
import type { Layout } from './layout.js';
import { withLock } from './lock.js';

export const goTools = ['crictl', 'critest', 'kubelet'] as const;
export type GoTool = (typeof goTools)[number];

interface GoModule {
  readonly module: string;
  readonly version: string;
  /** The version of the Go language that the module needs. */
  readonly go: string;
}

/** The Go module of crictl and critest. Its minor version is that of the CRI that crid serves. */
export const CRI_TOOLS: GoModule = { module: 'sigs.k8s.io/cri-tools', version: 'v1.36.0', go: '1.26' };

/** The Go module of the kubelet. */
export const KUBERNETES: GoModule = { module: 'k8s.io/kubernetes', version: 'v1.36.3', go: '1.26.2' };

const DOWNLOAD_LIMIT_MS = 600_000;
/** The kubelet takes three minutes, and more beside tests. */
const BUILD_LIMIT_MS = 1_800_000;
const TRIES = 3;

const moduleOf = (tool: GoTool): GoModule => (tool === 'kubelet' ? KUBERNETES : CRI_TOOLS);

/** Returns the path of a tool, also before it is built. */
export const goToolPath = (layout: Layout, tool: GoTool): string => join(layout.goTools, moduleOf(tool).version, tool);

/** Builds a tool from its Go module unless it exists. The first build takes about a minute; the kubelet takes three. */
export async function ensureGoTool(layout: Layout, tool: GoTool): Promise<string> {
  const path = goToolPath(layout, tool);
  if (existsSync(path)) return path;
  await withLock(`${path}.lock`, async () => {
    if (!existsSync(path)) await build(tool, path);
  });
  return path;
}

async function build(tool: GoTool, path: string): Promise<void> {
  const go = goProgram();
  const folder = join(path, '..');
  await mkdir(folder, { recursive: true });
  const work = await mkdtemp(join(folder, 'build-'));
  const source = `${moduleOf(tool).module}/cmd/${tool}`;
  const built = join(work, tool);
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=mod' };
  try {
    const downloading = { cwd: work, env, timeoutMs: DOWNLOAD_LIMIT_MS };
    await writeGoMod(go, tool, downloading);
    // Only this command and the line above use the network. A failed compilation needs no retry.
    await runWithRetries(TRIES, go, ['list', '-deps', '-test', source], downloading);
    await run(go, [...compileArgs(tool), '-o', built, source], { cwd: work, env, timeoutMs: BUILD_LIMIT_MS });
    await rename(built, path);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Writes a module that requires the tool's module. */
async function writeGoMod(
  go: string,
  tool: GoTool,
  options: { cwd: string; env: NodeJS.ProcessEnv; timeoutMs: number },
): Promise<void> {
  const { module, version, go: language } = moduleOf(tool);
  const write = (more: readonly string[]): Promise<void> => {
    const lines = ['module crid.invalid/tools', `go ${language}`, `require ${module} ${version}`, ...more, ''];
    return writeFile(join(options.cwd, 'go.mod'), lines.join('\n'));
  };
  await write([]);
  if (tool === 'kubelet') await write(stagingReplacements(await goModOf(go, KUBERNETES, options)));
}

async function goModOf(
  go: string,
  { module, version }: GoModule,
  options: { cwd: string; env: NodeJS.ProcessEnv; timeoutMs: number },
): Promise<string> {
  const answer = await runWithRetries(TRIES, go, ['mod', 'download', '-json', `${module}@${version}`], options);
  return readFile((JSON.parse(answer) as { GoMod: string }).GoMod, 'utf8');
}

/**
 * Kubernetes replaces its own libraries by its staging folder. Outside of its tree they are modules, with v0 where
 * Kubernetes has v1.
 */
function stagingReplacements(goMod: string): string[] {
  const libraries = [...goMod.matchAll(/^\s*(?:replace )?(\S+) => \.\/staging\//gm)].map(([, name = '']) => name);
  return libraries.map((name) => `replace ${name} => ${name} ${KUBERNETES.version.replace(/^v1/, 'v0')}`);
}

/** critest is a compiled Go test (go test -c); the others are ordinary programs. */
function compileArgs(tool: GoTool): string[] {
  if (tool === 'critest') return ['test', '-c'];
  const { version } = KUBERNETES;
  const [, major, minor] = /^v(\d+)\.(\d+)/.exec(version) ?? [];
  const facts = { gitVersion: version, gitMajor: major, gitMinor: minor };
  const set = Object.entries(facts).map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`);
  return ['build', '-ldflags', ['-s -w', ...(tool === 'kubelet' ? set : [])].join(' ')];
}

function goProgram(): string {
  const program = [which('go'), '/usr/local/go/bin/go'].find((path) => path !== undefined && existsSync(path));
  if (program === undefined) {
    throw new Error(`crictl, critest and kubelet are built from their Go modules: please install Go 1.26 or newer`);
  }
  return program;
}
