import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run, runWithRetries, which } from './exec.js';
import type { Layout } from './layout.js';

export type GoTool = 'crictl' | 'critest';

/** The Go module that has them; its minor version is that of the CRI which crid serves. */
export const CRI_TOOLS = { module: 'sigs.k8s.io/cri-tools', version: 'v1.36.0', go: '1.26' };

const DOWNLOAD_LIMIT_MS = 600_000;
const BUILD_LIMIT_MS = 900_000;
const TRIES = 3;

/** Where a tool is, or will be once it is built. */
export const goToolPath = (layout: Layout, tool: GoTool): string => join(layout.goTools, CRI_TOOLS.version, tool);

/** Builds a tool from its Go module unless it is there; takes a minute or so the first time. */
export async function ensureGoTool(layout: Layout, tool: GoTool): Promise<string> {
  const path = goToolPath(layout, tool);
  if (!existsSync(path)) await build(tool, path);
  return path;
}

async function build(tool: GoTool, path: string): Promise<void> {
  const go = goProgram();
  const folder = join(path, '..');
  await mkdir(folder, { recursive: true });
  const work = await mkdtemp(join(folder, 'build-'));
  const { module, version, go: language } = CRI_TOOLS;
  const source = `${module}/cmd/${tool}`;
  const built = join(work, tool);
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=mod' };
  try {
    await writeFile(
      join(work, 'go.mod'),
      `module crid.invalid/tools\n\ngo ${language}\n\nrequire ${module} ${version}\n`,
    );
    const downloading = { cwd: work, env, timeoutMs: DOWNLOAD_LIMIT_MS };
    // Only this asks the network; a failure of the compiler needs no second try.
    await runWithRetries(TRIES, go, ['list', '-deps', '-test', source], downloading);
    // The suite is a Go test that is compiled and kept (go test -c); crictl is an ordinary program.
    const compile = tool === 'critest' ? ['test', '-c'] : ['build', '-ldflags', '-s -w'];
    await run(go, [...compile, '-o', built, source], { cwd: work, env, timeoutMs: BUILD_LIMIT_MS });
    await rename(built, path);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

function goProgram(): string {
  const program = [which('go'), '/usr/local/go/bin/go'].find((path) => path !== undefined && existsSync(path));
  if (program === undefined) {
    throw new Error(`${CRI_TOOLS.module} is built from its Go module: please install Go ${CRI_TOOLS.go} or newer`);
  }
  return program;
}
