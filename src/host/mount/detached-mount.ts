import { closeSync, constants, openSync } from 'node:fs';
import { CriError } from '../../base/errors.js';
import { AT_FDCWD, O_CLOEXEC, O_PATH } from '../syscall/common-calls.js';
import { errnoName, fsError } from '../syscall/errno.js';
import { callAsync, numberedCall } from '../syscall/libc.js';

/** A mount of a snapshot, as containerd's Snapshots service gives it (containerd.v1.types.Mount). */
export interface RootfsMount {
  readonly type: string;
  readonly source: string;
  readonly target: string;
  readonly options: readonly string[];
}

/**
 * Mounts a snapshot read-only without attaching it anywhere, and returns a descriptor of its root. The mount ends when
 * the descriptor is closed or the process dies. UNIMPLEMENTED for any number of mounts but one, and for a type that
 * only a helper program can mount.
 */
export async function openDetached(mounts: readonly RootfsMount[]): Promise<number> {
  const mount = requireOne(mounts);
  if (mount.type === 'overlay') return openOverlay(mount);
  if (isBind(mount)) return openBind(mount);
  const options = mount.options.filter((option) => option !== 'rw' && option !== 'ro');
  return mountNew(mount.type, [`source=${mount.source}`, ...options, 'ro']);
}

/** UNIMPLEMENTED for any number of mounts but one, and for a type that only a helper program can mount. */
export function requireOne(mounts: readonly RootfsMount[]): RootfsMount {
  const [mount, ...more] = mounts;
  if (mount === undefined || more.length > 0) {
    throw new CriError('UNIMPLEMENTED', `open rootfs: ${mounts.length} mounts where one is expected`);
  }
  if (mount.type.includes('.')) {
    throw new CriError('UNIMPLEMENTED', `open rootfs: the type "${mount.type}" needs a helper program to mount it`);
  }
  return mount;
}

export const isBind = ({ type, options }: RootfsMount): boolean => type === 'bind' || /^r?bind$/.test(options[0] ?? '');

/** The options of a mount that go to the file system unchanged. */
export const optionsPassedOn = ({ options }: RootfsMount): string[] =>
  options.filter((option) => !NOT_PASSED_ON.test(option));

/** Opens the layers of an overlay, topmost first (O_PATH). */
export const layersOpen = (mount: RootfsMount): number[] => openAll(overlayLayers(mount));

/** Maximum number of layers in one string: fsconfig(2) takes 255 bytes, and the path of an open layer has up to 20. */
export const LAYERS_PER_STRING = 12;

/** `manyLowers`: whether the kernel takes layers one by one (`lowerdir+`, since 6.5); undefined: try it. */
export async function openOverlay(mount: RootfsMount, manyLowers?: boolean): Promise<number> {
  const options = optionsPassedOn(mount);
  const opened = layersOpen(mount);
  try {
    return await stack(opened.map(pathOf), options, manyLowers);
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}

/**
 * Returns the directories of an overlay, topmost first. It includes the upper directory, which a task may have mounted.
 */
export function overlayLayers(mount: RootfsMount): string[] {
  const value = (key: string): string | undefined =>
    mount.options.find((option) => option.startsWith(`${key}=`))?.slice(key.length + 1);
  const upper = value('upperdir');
  return [...(upper === undefined ? [] : [upper]), ...splitLayers(value('lowerdir') ?? '')];
}

/** Mounts one directory read-only, without its submounts and attached nowhere; returns a descriptor. */
export const openDirectory = (source: string): Promise<number> => openBind({ source });

/** Maps the owners of a detached mount's files by a user namespace (mount_setattr(2), MOUNT_ATTR_IDMAP). */
export const idmapDetached = (fd: number, usernsFd: number): Promise<void> =>
  setAttributes(fd, [MOUNT_ATTR_IDMAP, 0n, 0n, BigInt(usernsFd)]);

/** Attaches a detached mount to a directory, where it stays after the descriptor is closed. Clears noexec. */
export async function attachDetached(fd: number, target: string): Promise<void> {
  await setAttributes(fd, [0n, MOUNT_ATTR_NOEXEC, 0n, 0n]);
  await callAsync(moveMount, target, SYS_MOVE_MOUNT, fd, '', AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH);
}

const SYS_OPEN_TREE = 428;
const SYS_MOVE_MOUNT = 429;
const SYS_FSOPEN = 430;
const SYS_FSCONFIG = 431;
const SYS_FSMOUNT = 432;
const SYS_MOUNT_SETATTR = 442;

const OPEN_TREE_CLONE = 1;
const AT_EMPTY_PATH = 0x1000;
const CLOEXEC = 1;
const SET_FLAG = 0;
const SET_STRING = 1;
const CREATE = 6;
// rdonly, nosuid, nodev, noexec (MOUNT_ATTR_*).
const ATTRIBUTES = 0xf;
const MOUNT_ATTR_NOEXEC = 0x8n;
const MOUNT_ATTR_IDMAP = 0x100000n;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const NOT_PASSED_ON = /^(?:(?:upperdir|workdir|lowerdir|uidmap|gidmap)=|(?:rw|ro|volatile)$)/;

const openTree = numberedCall('open_tree', ['int', 'const char *', 'uint']);
const moveMount = numberedCall('move_mount', ['int', 'const char *', 'int', 'const char *', 'uint']);
const fsopen = numberedCall('fsopen', ['const char *', 'uint']);
const fsconfig = numberedCall('fsconfig', ['int', 'uint', 'const char *', 'const char *', 'int']);
const fsmount = numberedCall('fsmount', ['int', 'uint', 'uint']);
const mountSetattr = numberedCall('mount_setattr', ['int', 'const char *', 'uint', 'uint64_t *', 'size_t']);

async function openBind({ source }: Pick<RootfsMount, 'source'>): Promise<number> {
  // The mount is not recursive: host mounts below the directory are not part of the snapshot.
  const fd = await callAsync(openTree, source, SYS_OPEN_TREE, AT_FDCWD, source, OPEN_TREE_CLONE | O_CLOEXEC);
  try {
    await setAttributes(fd, [BigInt(ATTRIBUTES), 0n, 0n, 0n]);
    return fd;
  } catch (thrown) {
    closeSync(fd);
    throw thrown;
  }
}

/** `[set, clear, propagation, descriptor of a user namespace]` (mount_setattr(2), struct mount_attr). */
async function setAttributes(fd: number, values: readonly [bigint, bigint, bigint, bigint]): Promise<void> {
  const attributes = new BigUint64Array(values);
  const subject = `/proc/self/fd/${fd}`;
  await callAsync(mountSetattr, subject, SYS_MOUNT_SETATTR, fd, '', AT_EMPTY_PATH, attributes, attributes.byteLength);
}

async function stack(layers: readonly string[], options: readonly string[], manyLowers?: boolean): Promise<number> {
  if (manyLowers !== false) {
    try {
      return await mountNew('overlay', [...layers.map((layer) => `lowerdir+=${layer}`), ...options, 'ro']);
    } catch (thrown) {
      if (manyLowers || errnoName(thrown) !== 'EINVAL') throw thrown;
    }
  }
  if (layers.length <= LAYERS_PER_STRING) {
    return mountNew('overlay', [`lowerdir=${layers.join(':')}`, ...options, 'ro']);
  }
  return stackOfStacks(layers, options);
}

/**
 * For too many layers for one string: stacks groups of layers as overlays, then an overlay of those (the kernel allows
 * two levels).
 */
async function stackOfStacks(layers: readonly string[], options: readonly string[]): Promise<number> {
  const size = Math.max(LAYERS_PER_STRING, Math.ceil(layers.length / LAYERS_PER_STRING));
  const groups: number[] = [];
  const paths: string[] = [];
  try {
    for (let at = 0; at < layers.length; at += size) {
      const group = layers.slice(at, at + size);
      // An overlay needs two layers, so a single last layer is used as it is.
      if (group.length === 1) paths.push(...group);
      else paths.push(pathOf(groups[groups.push(await stack(group, options, false)) - 1] ?? -1));
    }
    return await mountNew('overlay', [`lowerdir=${paths.join(':')}`, ...options, 'ro']);
  } finally {
    for (const fd of groups) closeSync(fd);
  }
}

async function mountNew(type: string, options: readonly string[]): Promise<number> {
  const context = await callAsync(fsopen, type, SYS_FSOPEN, type, CLOEXEC);
  try {
    for (const option of options) {
      const [key = '', ...rest] = option.split('=');
      const [command, value] = rest.length === 0 ? [SET_FLAG, null] : [SET_STRING, rest.join('=')];
      await callAsync(fsconfig, `${type} ${option}`, SYS_FSCONFIG, context, command, key, value, 0);
    }
    await callAsync(fsconfig, type, SYS_FSCONFIG, context, CREATE, null, null, 0);
    return await callAsync(fsmount, type, SYS_FSMOUNT, context, CLOEXEC, ATTRIBUTES);
  } finally {
    closeSync(context);
  }
}

const pathOf = (fd: number): string => `/proc/self/fd/${fd}`;

/** Splits `a:b`; a backslash escapes the next character. */
const splitLayers = (text: string): string[] =>
  (text.match(/(?:\\.|[^:\\])+/gs) ?? []).map((layer) => layer.replaceAll(/\\(.)/gs, '$1'));

function openAll(paths: readonly string[]): number[] {
  const opened: number[] = [];
  try {
    for (const path of paths) opened.push(openSync(path, O_PATH | constants.O_DIRECTORY));
    return opened;
  } catch (thrown) {
    for (const fd of opened) closeSync(fd);
    throw fsError(thrown, 'overlay');
  }
}
