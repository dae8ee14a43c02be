import { createKeyedQueue } from '../base/async.js';
import { CriError, isCode } from '../base/errors.js';
import { logOf, type Logger } from '../base/log.js';
import type { ImagesConfig } from '../config/schema.js';
import type { Containerd, Descriptor, ImageRecord } from '../containerd/containerd.js';
import type { ImageConfig } from '../spec/image-config.js';
import { adoptRecord } from './image-adoption.js';
import { readImage, type ImageContent } from './image-content.js';
import { createReadings, type Readings } from './image-readings.js';
import { isPinned } from './image-records.js';
import { isDigest, tryParseReference } from './image-reference.js';

/** An image from which containers can be started, with all its names. */
export interface LocalImage {
  /** The digest of the image's config: the CRI image id. */
  readonly id: string;
  /** `docker.io/library/busybox:latest` */
  readonly repoTags: readonly string[];
  /** `docker.io/library/busybox@sha256:…` */
  readonly repoDigests: readonly string[];
  /** The names of all its image records, tags first. */
  readonly references: readonly string[];
  /** The digest of the manifest for this platform. */
  readonly target: string;
  readonly chainId: string;
  readonly config: ImageConfig;
  /** The memory that `config` takes, in bytes. */
  readonly keptBytes: number;
  /** The name of the container that the image is a checkpoint of; undefined for any other image. */
  readonly checkpointOf: string | undefined;
  readonly sizeBytes: bigint;
  readonly pinned: boolean;
  /** The USER of the image's config: a uid when it is a number, else a name. */
  readonly user: { readonly uid?: bigint; readonly username: string };
}

export interface ImageEntry {
  readonly record: ImageRecord;
  readonly content: ImageContent;
}

/** The cache of containerd's images. */
export interface ImageCache extends Readings {
  /** Finds an image by its whole id, by a record name, or by a reference in any form, such as `busybox`. */
  get(idOrReference: string): LocalImage | undefined;
  /** As `get`, and by at least `MIN_PREFIX_DIGITS` digits of the id: for user input, never to create a container. */
  getForPeople(idOrReference: string): LocalImage | undefined;
  list(): readonly LocalImage[];
  /** Returns the record `name` as it was last read, with the content of its target. */
  entry(name: string): ImageEntry | undefined;
  /**
   * Reads one image record again after it was changed or removed; adopts a record that another client made. Does not
   * read it if the entry, when the reads under way have ended, `isCurrent`.
   */
  refresh(name: string, isCurrent?: (entry: ImageEntry) => boolean): Promise<void>;
  /** Takes a record as containerd returned it when crid wrote it. The content of its target must be known. */
  take(record: ImageRecord): Promise<void>;
  /**
   * Drops a record after `remove` has removed it. Other reads of the record wait, so that containerd's event about the
   * removal finds nothing to read again.
   */
  remove(name: string, remove: () => Promise<void>): Promise<void>;
  /** Reads a record again that another client has removed, if it is known: it may have been created again. */
  forget(name: string): Promise<void>;
  /** As `readImage`; RESOURCE_EXHAUSTED also when the configs of all images together would exceed their limit. */
  read(target: Descriptor): Promise<ImageContent>;
  /** As `begin`, and waits until all images have been read. */
  rebuild(): Promise<void>;
}

export function createImageCache(options: {
  containerd: Pick<Containerd, 'images' | 'content'>;
  /** Names the pinned images. Without it only the images whose records have the label are pinned. */
  config?: { readonly images: Pick<ImagesConfig, 'pinned_images'> };
  log: Logger;
  /** The limit on the kept parts of all configs together. */
  maxKeptBytes?: number;
}): ImageCache {
  const { containerd, config = NONE_PINNED, log, maxKeptBytes = MAX_KEPT_BYTES } = options;
  const { entries, images, replace } = createEntries();
  const contentOf = createContents(containerd, entries);
  /** Keeps an older result from replacing a newer one. */
  const inTurn = createKeyedQueue();

  const readContent = async (target: Descriptor): Promise<ImageContent> => {
    const content = await contentOf(target);
    requireRoom(images.values(), content, maxKeptBytes);
    return content;
  };
  const read = async (name: string): Promise<ImageEntry | undefined> => {
    try {
      const record = await containerd.images.get(name);
      const content = await readContent(record.target);
      const adopted = await adoptRecord({ images: containerd.images, config: config.images, log }, record, content.id);
      if (adopted !== record && name !== content.id) await refresh(content.id);
      return { record: adopted, content };
    } catch (thrown) {
      if (isCode(thrown, 'RESOURCE_EXHAUSTED')) {
        logOf(log).warn({ image: name, err: thrown.message }, 'image left out');
        return undefined;
      }
      if (!isCode(thrown, 'NOT_FOUND') && !isCode(thrown, 'DATA_LOSS')) throw thrown;
      logOf(log).debug({ image: name, err: thrown.message }, 'no such image, or not all of it is here');
      return undefined;
    }
  };
  const refresh: ImageCache['refresh'] = (name, isCurrent) =>
    inTurn(name, async () => {
      const entry = entries.get(name);
      if (!entry || isCurrent?.(entry) !== true) replace(name, await read(name));
    });
  const take = (record: ImageRecord): Promise<void> =>
    inTurn(record.name, async () => replace(record.name, { record, content: await readContent(record.target) }));
  const remove: ImageCache['remove'] = (name, removed) =>
    inTurn(name, async () => {
      await removed();
      replace(name, undefined);
    });
  const forget = (name: string): Promise<void> =>
    inTurn(name, async () => {
      if (entries.has(name)) replace(name, await read(name));
    });

  const readings = createReadings({ containerd, log, refresh, known: () => entries.keys() });

  const get = (text: string): LocalImage | undefined => {
    const name = entries.has(text) ? text : (tryParseReference(text)?.text ?? '');
    const id = entries.get(name)?.content.id ?? (DIGITS_OF_ID.test(text) ? `sha256:${text}` : text);
    return images.get(text) ?? images.get(id);
  };

  return {
    get,
    getForPeople: (text) => get(text) ?? byPrefix(images, text),
    list: () => [...images.values()],
    entry: (name) => entries.get(name),
    refresh,
    take,
    remove,
    forget,
    read: readContent,
    ...readings,
    rebuild: async () => (await readings.begin()).done,
  };
}

/** The records by name, and the images that they make up by id. */
function createEntries() {
  const entries = new Map<string, ImageEntry>();
  const images = new Map<string, LocalImage>();
  const publish = (id: string): void => {
    const image = toImage([...entries.values()].filter((entry) => entry.content.id === id));
    if (image) images.set(id, image);
    else images.delete(id);
  };
  const replace = (name: string, entry: ImageEntry | undefined): void => {
    const before = entries.get(name);
    if (entry) entries.set(name, entry);
    else entries.delete(name);
    if (entry) publish(entry.content.id);
    if (before && before.content.id !== entry?.content.id) publish(before.content.id);
  };
  return { entries, images, replace };
}

const NONE_PINNED = { images: { pinned_images: {} } };
const DIGITS_OF_ID = /^[a-f0-9]{64}$/;
/**
 * crictl shows 13 digits of an id. A shorter text of hex digits, such as `beef` or a short commit hash, may be an image
 * name: it must not match another image's id.
 */
const MIN_PREFIX_DIGITS = 12;
const PREFIX_OF_ID = new RegExp(`^(?:sha256:)?([a-f0-9]{${MIN_PREFIX_DIGITS},64})$`);

/** Returns undefined when the prefix is ambiguous. */
function byPrefix(images: ReadonlyMap<string, LocalImage>, text: string): LocalImage | undefined {
  const digits = PREFIX_OF_ID.exec(text)?.[1];
  if (digits === undefined) return undefined;
  const found = [...images.values()].filter(({ id }) => id.startsWith(`sha256:${digits}`));
  return found.length === 1 ? found[0] : undefined;
}

/** The limit on the kept parts of all configs together. */
const MAX_KEPT_BYTES = 64 << 20;

function requireRoom(images: Iterable<LocalImage>, content: ImageContent, maxBytes: number): void {
  let bytes = content.keptBytes;
  for (const image of images) if (image.id !== content.id) bytes += image.keptBytes;
  if (bytes <= maxBytes) return;
  const problem = `config ${content.id}: the configs of all images would take more than ${maxBytes} bytes`;
  throw new CriError('RESOURCE_EXHAUSTED', problem);
}

function toImage(entries: readonly ImageEntry[]): LocalImage | undefined {
  const first = entries[0];
  if (!first) return undefined;
  const { id, manifest, chainId, config, keptBytes, checkpointOf, sizeBytes } = first.content;
  return {
    id,
    ...viewOf(entries.map(({ record }) => record.name)),
    target: manifest,
    chainId,
    config,
    keptBytes,
    checkpointOf,
    sizeBytes,
    pinned: entries.some(({ record }) => isPinned(record)),
    user: userOf(config.config?.User ?? ''),
  };
}

/** Reads the content of a target once for all the records that point at it. */
function createContents(
  containerd: Pick<Containerd, 'content'>,
  entries: ReadonlyMap<string, ImageEntry>,
): (target: ImageRecord['target']) => Promise<ImageContent> {
  const reading = new Map<string, Promise<ImageContent>>();
  return (target) => {
    const known = [...entries.values()].find(({ record }) => record.target.digest === target.digest);
    if (known) return Promise.resolve(known.content);
    const running = reading.get(target.digest);
    if (running) return running;
    const started = readImage(containerd.content, target).finally(() => reading.delete(target.digest));
    reading.set(target.digest, started);
    return started;
  };
}

/** Sorts the names of an image's records for CRI: tags, then digests, then bare ids, each alphabetically. */
export function viewOf(names: readonly string[]): { references: string[]; repoTags: string[]; repoDigests: string[] } {
  const parsed = names.map((name) => ({ name, reference: isDigest(name) ? undefined : tryParseReference(name) }));
  const rank = ({ reference }: (typeof parsed)[number]): number => {
    if (!reference) return 2;
    return reference.tag === undefined ? 1 : 0;
  };
  parsed.sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
  return {
    references: parsed.map(({ name }) => name),
    repoTags: parsed.flatMap(({ reference }) => (reference?.tag !== undefined ? [reference.text] : [])),
    repoDigests: parsed.flatMap(({ reference }) => (reference?.digest !== undefined ? [reference.text] : [])),
  };
}

const MAX_INT64 = 2n ** 63n - 1n;

/**
 * Returns the user in a USER such as `1000:1000` or `www-data`: a uid if it is an int64, else a name, which may be "".
 */
export function userOf(user: string): { uid?: bigint; username: string } {
  const name = user.split(':')[0] ?? '';
  if (!/^[+-]?\d+$/.test(name)) return { username: name };
  const uid = BigInt(name.replace(/^\+/, ''));
  return uid <= MAX_INT64 && uid >= -MAX_INT64 - 1n ? { uid, username: '' } : { username: name };
}
