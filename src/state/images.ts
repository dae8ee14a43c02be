import { isCode, CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import type { Containerd, ImageRecord } from '../containerd/containerd.js';
import { fullName, parseReference } from './image-reference.js';
import { readImage, type ImageContent } from './image-content.js';

/** What crid remembers of an image: all records of containerd that lead to one image config. */
export interface LocalImage extends ImageContent {
  /** The digest of the image's config: what CRI calls the image's id. */
  readonly id: string;
  /** The names of containerd's image records, sorted. */
  readonly references: readonly string[];
  readonly repoTags: readonly string[];
  readonly repoDigests: readonly string[];
  readonly pinned: boolean;
}

export interface ImageCache {
  /** By id, a unique prefix of it, or a reference in full or as people write it (`busybox`). */
  get(idOrName: string): LocalImage | undefined;
  list(): readonly LocalImage[];
  /** Reads one record anew, or forgets it when it has gone. */
  refresh(name: string): Promise<void>;
  /** Reads every record anew. */
  rebuild(): Promise<void>;
}

export const PINNED_LABEL = 'io.cri-containerd.pinned';
const PINNED = 'pinned';

/** One record, with what its content says. */
interface Entry {
  readonly name: string;
  readonly target: string;
  readonly pinned: boolean;
  readonly content: ImageContent;
}

/** Images of whoever has pulled them: this crid, containerd's CRI plugin, ctr, in this namespace. */
export function createImageCache(options: {
  containerd: Pick<Containerd, 'images' | 'content'>;
  log: Logger;
}): ImageCache {
  const { containerd, log } = options;
  let entries = new Map<string, Entry>();
  let byId: ReadonlyMap<string, LocalImage> = new Map();

  const regroup = (): void => {
    byId = group([...entries.values()]);
  };

  /** undefined for what is no runnable image of this platform, or has lost its content. */
  const read = async (record: ImageRecord, known: Entry | undefined): Promise<Entry | undefined> => {
    const pinned = record.labels[PINNED_LABEL] === PINNED;
    if (known?.target === record.target.digest) return { ...known, pinned };
    try {
      return {
        name: record.name,
        target: record.target.digest,
        pinned,
        content: await readImage(containerd.content, record.target),
      };
    } catch (thrown) {
      log.debug({ image: record.name, err: CriError.from(thrown).message }, 'image left out');
      return undefined;
    }
  };

  return {
    get: (idOrName) =>
      byId.get(idOrName) ?? byPrefix(byId, idOrName) ?? byId.get(entries.get(wholeName(idOrName))?.content.id ?? ''),
    list: () => [...byId.values()],
    async refresh(name) {
      const record = await containerd.images.get(name).catch((thrown: unknown) => {
        if (isCode(thrown, 'NOT_FOUND')) return undefined;
        throw thrown;
      });
      const entry = record && (await read(record, entries.get(name)));
      if (entry) entries.set(name, entry);
      else entries.delete(name);
      regroup();
    },
    async rebuild() {
      const records = await containerd.images.list([]);
      const read_ = await Promise.all(records.map((record) => read(record, entries.get(record.name))));
      entries = new Map(read_.flatMap((entry) => (entry ? [[entry.name, entry] as const] : [])));
      regroup();
    },
  };
}

/** A name as containerd has it; what is no reference is nobody's name. */
function wholeName(name: string): string {
  try {
    return fullName(parseReference(name, 'image.image'));
  } catch {
    return name;
  }
}

function byPrefix(images: ReadonlyMap<string, LocalImage>, prefix: string): LocalImage | undefined {
  const hex = prefix.startsWith('sha256:') ? prefix.slice('sha256:'.length) : prefix;
  if (!/^[0-9a-f]{4,64}$/.test(hex)) return undefined;
  const matches = [...images.values()].filter(({ id }) => id.startsWith(`sha256:${hex}`));
  return matches.length === 1 ? matches[0] : undefined;
}

function group(entries: readonly Entry[]): Map<string, LocalImage> {
  const groups = new Map<string, Entry[]>();
  for (const entry of entries) groups.set(entry.content.id, [...(groups.get(entry.content.id) ?? []), entry]);
  return new Map([...groups].map(([id, members]) => [id, toImage(members)]));
}

function toImage(members: readonly Entry[]): LocalImage {
  const references = members.map(({ name }) => name).sort();
  const isId = (name: string): boolean => name.startsWith('sha256:');
  return {
    ...members[0]!.content,
    references,
    repoTags: references.filter((name) => !name.includes('@') && !isId(name)),
    repoDigests: references.filter((name) => name.includes('@')),
    pinned: members.some(({ pinned }) => pinned),
  };
}
