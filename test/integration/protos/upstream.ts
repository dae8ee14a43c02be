import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema, type FileDescriptorSet } from '@bufbuild/protobuf/wkt';

const run = promisify(execFile);
const LIMIT_MS = 300_000;

/** A Go module, and the folder that its protos' imports are relative to, below the root of all protos. */
interface Module {
  readonly name: string;
  readonly version: string;
  readonly root: string;
  /** The folders and files of the module that are used. */
  readonly paths: readonly string[];
}

/** Go modules with the protos that `protos/` declares again. */
export interface Release {
  readonly name: string;
  /** The release that `protos/` follows. An older one may lack declarations, but must have none differently. */
  readonly isOwn: boolean;
  readonly modules: readonly Module[];
}

const cri = (version: string): Module => ({
  ...{ name: 'k8s.io/cri-api', version },
  ...{ root: 'k8s.io/cri-api', paths: ['pkg/apis/runtime/v1'] },
});
const cgroups: Module = {
  ...{ name: 'github.com/containerd/cgroups/v3', version: 'v3.1.3' },
  ...{ root: 'github.com/containerd/cgroups', paths: ['cgroup1/stats', 'cgroup2/stats'] },
};
/** google/rpc/status.proto, which the other modules do not contain. */
const googleapis: Module = {
  ...{ name: 'github.com/gogo/googleapis', version: 'v1.4.1' },
  ...{ root: '', paths: ['google/rpc/status.proto'] },
};
const nri: Module = {
  ...{ name: 'github.com/containerd/nri', version: 'v0.12.5' },
  ...{ root: 'github.com/containerd/nri', paths: ['pkg/api/api.proto'] },
};
const ttrpc: Module = {
  ...{ name: 'github.com/containerd/ttrpc', version: 'v1.2.10' },
  ...{ root: 'github.com/containerd/ttrpc', paths: ['request.proto'] },
};
const containerdApi = (version: string, root: string): Module => ({
  ...{ name: 'github.com/containerd/containerd/api', version, root },
  paths: ['events', 'services', 'types'],
});

export const RELEASES: readonly Release[] = [
  {
    name: 'CRI v0.38 beta and containerd 2.4 (API 1.12)',
    isOwn: true,
    modules: [cri('v0.38.0-beta.0'), cgroups, googleapis, nri, ttrpc, containerdApi('v1.12.0', '')],
  },
  {
    name: 'CRI v0.37 and containerd 2.3 (API 1.11)',
    isOwn: false,
    modules: [cri('v0.37.2'), cgroups, googleapis, containerdApi('v1.11.1', '')],
  },
  {
    name: 'CRI v0.36 and containerd 2.1 (API 1.9)',
    isOwn: false,
    modules: [cri('v0.36.3'), cgroups, googleapis, containerdApi('v1.9.0', 'github.com/containerd/containerd/api')],
  },
];

/** Returns the descriptors of this repository's protos. */
export async function ownDescriptors(): Promise<FileDescriptorSet> {
  const folder = await mkdtemp(path.join(tmpdir(), 'crid-protos-'));
  try {
    return await build(repository(), path.join(folder, 'own.binpb'));
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Returns the descriptors of a release, from the cache (`$XDG_CACHE_HOME/crid/protos`) or from its Go modules. */
export async function upstreamDescriptors(release: Release): Promise<FileDescriptorSet> {
  const key = createHash('sha256').update(JSON.stringify(release.modules)).digest('hex').slice(0, 16);
  const cache = path.join(process.env['XDG_CACHE_HOME'] || path.join(homedir(), '.cache'), 'crid', 'protos');
  const file = path.join(cache, `${key}.binpb`);
  if (existsSync(file)) return read(file);

  await mkdir(cache, { recursive: true });
  const folder = await mkdtemp(path.join(cache, 'build-'));
  try {
    await layOut(release.modules, folder);
    const built = path.join(folder, 'upstream.binpb');
    const set = await build(folder, built);
    await rename(built, file);
    return set;
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function layOut(modules: readonly Module[], folder: string): Promise<void> {
  await writeFile(path.join(folder, 'go.mod'), 'module upstream\n');
  await writeFile(path.join(folder, 'buf.yaml'), 'version: v2\nmodules:\n  - path: protos\n');
  for (const { name, version, root, paths } of modules) {
    const source = await download(name, version, folder);
    for (const wanted of paths) {
      await cp(path.join(source, wanted), path.join(folder, 'protos', root, wanted), {
        recursive: true,
        filter: (from) => ['', '.proto'].includes(path.extname(from.replace(source, ''))),
      });
    }
  }
}

/** Returns the module's folder in Go's module cache. */
async function download(name: string, version: string, cwd: string): Promise<string> {
  // A module may need a newer Go than the host's, which Go then downloads from the same proxy.
  const env = { ...process.env, GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'auto' };
  const options = { cwd, env, timeout: LIMIT_MS };
  const { stdout } = await run('go', ['mod', 'download', '-json', `${name}@${version}`], options).catch(
    (cause: NodeJS.ErrnoException) => {
      const hint = cause.code === 'ENOENT' ? ': needs go, once' : '';
      throw new Error(`download ${name}@${version}${hint}`, { cause });
    },
  );
  return (JSON.parse(stdout) as { Dir: string }).Dir;
}

async function build(folder: string, output: string): Promise<FileDescriptorSet> {
  const buf = path.join(repository(), 'node_modules', '.bin', 'buf');
  await run(buf, ['build', folder, '--output', output], { cwd: folder, timeout: LIMIT_MS });
  return read(output);
}

const read = async (file: string): Promise<FileDescriptorSet> =>
  fromBinary(FileDescriptorSetSchema, await readFile(file));

/** Returns the nearest folder above this file, or above its compiled file, that is the root of the protos. */
function repository(): string {
  let folder = path.dirname(fileURLToPath(import.meta.url));
  while (!existsSync(path.join(folder, 'buf.gen.yaml'))) {
    const above = path.dirname(folder);
    if (above === folder) throw new Error('no buf.gen.yaml above the tests');
    folder = above;
  }
  return folder;
}
