import { join } from 'node:path';
import PQueue from 'p-queue';
import { FilesystemUsage, type ImageFsInfoResponse } from '../../generated/runtime/v1/api.js';
import { CriError, isCode } from '../base/errors.js';
import { nowNs } from '../base/time.js';
import type { Snapshots } from '../containerd/containerd.js';
import type { ImageDeps } from './deps.js';

/** A kubelet asks every ten seconds or so; what it gets is at most this old. */
const FRESH_MS = 10_000;
const CONCURRENCY = 4;
const USAGE_TIMEOUT_MS = 10_000;

/**
 * CRI ImageFsInfo: bytes and inodes per snapshotter in use, the default one first. The usage of committed layers
 * never changes and is asked for once; that of writable ones comes from the snapshotter, on a budget.
 */
export const imageFsInfo = (deps: ImageDeps): (() => Promise<ImageFsInfoResponse>) => {
  const committed = new Map<string, Usage>();
  let answer: { readonly madeMs: number; readonly response: Promise<ImageFsInfoResponse> } | undefined;
  return () => {
    if (answer && Date.now() - answer.madeMs < FRESH_MS) return answer.response;
    const response = measure(deps, committed);
    answer = { madeMs: Date.now(), response };
    response.catch(() => (answer = undefined));
    return response;
  };
};

interface Usage {
  readonly bytes: bigint;
  readonly inodes: bigint;
}

async function measure(deps: ImageDeps, committed: Map<string, Usage>): Promise<ImageFsInfoResponse> {
  const names = await snapshottersOf(deps);
  const filesystems = await Promise.all(
    names.map(async (name) => {
      const timestamp = nowNs();
      const usage = await usageOf(name, deps.containerd.snapshots(name), committed);
      return FilesystemUsage.fromPartial({
        timestamp,
        fs_id: { mountpoint: await mountpointOf(deps, name) },
        used_bytes: { value: usage.bytes },
        inodes_used: { value: usage.inodes },
      });
    }),
  );
  // Writable layers lie on the same filesystem as the images' layers.
  return { image_filesystems: filesystems, container_filesystems: filesystems };
}

async function snapshottersOf(deps: ImageDeps): Promise<string[]> {
  const configured = Object.values(deps.config.runtime.containerd.runtimes).map(({ snapshotter }) => snapshotter);
  const used = deps.state.containers.list().map(({ snapshotter }) => snapshotter);
  return [...new Set([deps.config.images.snapshotter, ...configured, ...used])].filter((name) => name !== '');
}

/** The directory that the snapshotter itself says it has, else containerd's usual one. */
async function mountpointOf(deps: ImageDeps, snapshotter: string): Promise<string> {
  const plugins = await deps.containerd.introspection.plugins([
    `type==io.containerd.snapshotter.v1,id==${snapshotter}`,
  ]);
  return plugins[0]?.exports['root'] ?? join(deps.config.root, `io.containerd.snapshotter.v1.${snapshotter}`);
}

async function usageOf(snapshotter: string, snapshots: Snapshots, committed: Map<string, Usage>): Promise<Usage> {
  const queue = new PQueue({ concurrency: CONCURRENCY });
  const all = await snapshots.list([]);
  const one = async ({ name, kind }: { name: string; kind: string }): Promise<Usage> => {
    const key = `${snapshotter} ${name}`;
    const known = committed.get(key);
    if (known) return known;
    try {
      const usage = await snapshots.usage(name, { timeoutMs: USAGE_TIMEOUT_MS });
      if (kind === 'committed') committed.set(key, usage);
      return usage;
    } catch (thrown) {
      // One that went meanwhile, or is sick, is no reason to tell nothing of the others.
      if (isCode(thrown, 'NOT_FOUND') || thrown instanceof CriError) return { bytes: 0n, inodes: 0n };
      throw thrown;
    }
  };
  const usages = await queue.addAll(all.map((snapshot) => () => one(snapshot)));
  const names = new Set(all.map(({ name }) => `${snapshotter} ${name}`));
  for (const key of committed.keys()) if (key.startsWith(`${snapshotter} `) && !names.has(key)) committed.delete(key);
  return usages.reduce((sum, usage) => ({ bytes: sum.bytes + usage.bytes, inodes: sum.inodes + usage.inodes }), {
    bytes: 0n,
    inodes: 0n,
  });
}
