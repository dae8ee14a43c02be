import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CriError, doing } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { writeFileAtomic } from '../host/files/files.js';
import { readRegularFile } from '../host/files/regular-file.js';
import { errnoName } from '../host/syscall/errno.js';
import { parseConfList, type NetworkConf } from './conf-list.js';
import { isObject, type JsonObject } from './json.js';
import type { Target } from './target.js';

/** A container's network in libcni's cache. */
export interface CachedAttachment {
  readonly conf: NetworkConf;
  readonly target: Target;
  /** The last plugin's result; undefined when ADD did not complete. */
  readonly result: JsonObject | undefined;
}

/** An attachment with the time at which its file was last written, by the wall clock. */
export interface DatedAttachment extends CachedAttachment {
  readonly writtenAtMs: number;
}

/**
 * libcni's cache, `<dir>/results/NETWORK-CONTAINERID-IFNAME`, one JSON file (kind "cniCacheV1") for each attachment.
 * containerd's CRI uses the same cache, so that each server can delete what the other added.
 */
export interface ResultCache {
  /** Replaces the whole file. Without `result` the file records that ADD has begun. */
  write(conf: NetworkConf, target: Target, result?: JsonObject): Promise<void>;
  /** Returns all attachments of a container. A file that cannot be read is logged and left out. */
  ofContainer(containerId: string): Promise<CachedAttachment[]>;
  /**
   * Returns all attachments to a network, of whatever program. A file that cannot be read is logged and left out, and
   * the list is then not complete.
   */
  ofNetwork(network: string): Promise<{ readonly attachments: DatedAttachment[]; readonly isComplete: boolean }>;
  remove(network: string, target: Pick<Target, 'containerId' | 'ifName'>): Promise<void>;
}

const KIND = 'cniCacheV1';
/** More than the largest configuration, capability arguments and result together. */
export const MAX_FILE_BYTES = 16 << 20;

export function createResultCache(cacheDir: string, log: Logger): ResultCache {
  const dir = join(cacheDir, 'results');
  const fileOf = (network: string, target: Pick<Target, 'containerId' | 'ifName'>): string =>
    join(dir, `${network}-${target.containerId}-${target.ifName}`);

  const read = async (isWanted: (fileName: string) => boolean) => {
    const names = await readdir(dir).catch((thrown: unknown) => {
      if (errnoName(thrown) === 'ENOENT') return [];
      throw CriError.from(thrown);
    });
    const attachments: DatedAttachment[] = [];
    let isComplete = true;
    for (const name of names.filter(isWanted).sort()) {
      const path = join(dir, name);
      try {
        const cached = decode((await readRegularFile(path, MAX_FILE_BYTES)).toString('utf8'));
        attachments.push({ ...cached, writtenAtMs: (await stat(path)).mtimeMs });
      } catch (thrown) {
        if (errnoName(thrown) === 'ENOENT') continue;
        isComplete = false;
        log.warn({ path, err: CriError.from(thrown).message }, 'cached cni result not readable');
      }
    }
    return { attachments, isComplete };
  };

  return {
    write: (conf, target, result) =>
      doing(`cache result of network ${conf.name}`, async () => {
        const text = JSON.stringify(encode(conf, target, result));
        const bytes = Buffer.byteLength(text);
        // DEL could not read a larger file back.
        if (bytes > MAX_FILE_BYTES)
          throw new CriError('RESOURCE_EXHAUSTED', `${bytes} bytes, more than ${MAX_FILE_BYTES}`);
        await mkdir(dir, { recursive: true, mode: 0o700 });
        await writeFileAtomic(fileOf(conf.name, target), text, { sync: false });
      }),
    async ofContainer(containerId) {
      const { attachments } = await read((name) => name.includes(`-${containerId}-`));
      return attachments.filter(({ target }) => target.containerId === containerId);
    },
    async ofNetwork(network) {
      const { attachments, isComplete } = await read((name) => name.startsWith(`${network}-`));
      return { attachments: attachments.filter(({ conf }) => conf.name === network), isComplete };
    },
    remove: (network, target) => rm(fileOf(network, target), { force: true }),
  };
}

/** Returns the fields that libcni writes; Go leaves out empty ones. */
function encode(conf: NetworkConf, target: Target, result: JsonObject | undefined): JsonObject {
  return {
    kind: KIND,
    containerId: target.containerId,
    config: Buffer.from(conf.source).toString('base64'),
    ifName: target.ifName,
    networkName: conf.name,
    ...(target.netns !== '' ? { netns: target.netns } : {}),
    ...(target.args.length > 0 ? { cniArgs: target.args } : {}),
    ...(Object.keys(target.capabilityArgs).length > 0 ? { capabilityArgs: target.capabilityArgs } : {}),
    ...(result ? { result } : {}),
  };
}

function decode(text: string): CachedAttachment {
  const cached: unknown = JSON.parse(text);
  if (!isObject(cached) || cached.kind !== KIND) throw new CriError('DATA_LOSS', `kind: expected ${KIND}`);
  const field = (name: string): string => {
    const value = cached[name];
    if (typeof value === 'string' && value !== '') return value;
    throw new CriError('DATA_LOSS', `${name}: missing`);
  };
  return {
    conf: parseConfList(Buffer.from(field('config'), 'base64').toString('utf8')),
    target: {
      containerId: field('containerId'),
      netns: typeof cached.netns === 'string' ? cached.netns : '',
      ifName: field('ifName'),
      args: Array.isArray(cached.cniArgs) ? cached.cniArgs.filter(isPair) : [],
      capabilityArgs: isObject(cached.capabilityArgs) ? cached.capabilityArgs : {},
    },
    result: isObject(cached.result) ? cached.result : undefined,
  };
}

const isPair = (value: unknown): value is [string, string] =>
  Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === 'string');
