import { MountPropagation, type Device, type IDMapping, type Mount } from '../../../generated/runtime/v1/api.js';
import { invalidArgument } from '../../base/errors.js';
import { isMountOption, MOUNT_OPTIONS } from '../mounts/mount-options.js';
import { checkAbsolutePath, checkEnum, checkNoClimb } from './text-checks.js';

/** INVALID_ARGUMENT for a mount with contradictory fields, without a target, or with a relative source on the host. */
export function checkMounts(mounts: readonly Mount[], field: string): void {
  for (const [index, mount] of mounts.entries()) {
    const where = `${field}[${index}]`;
    if (mount.container_path === '') throw invalidArgument(`${where}.container_path`, 'must be given');
    checkEnum(mount.propagation, MountPropagation, `${where}.propagation`);
    checkMappings(mount.uidMappings, `${where}.uidMappings`);
    checkMappings(mount.gidMappings, `${where}.gidMappings`);
    // An image without a reference counts as no image.
    if (mount.image?.image) checkImageMount(mount, where);
    else checkHostMount(mount, where);
    if (mount.recursive_read_only && !mount.readonly) {
      throw invalidArgument(`${where}.recursive_read_only`, 'the mount is not readonly');
    }
    if (mount.recursive_read_only && mount.propagation !== MountPropagation.PROPAGATION_PRIVATE) {
      throw invalidArgument(`${where}.recursive_read_only`, 'needs private propagation');
    }
  }
}

/** INVALID_ARGUMENT for a device whose path on the host is not absolute, or permissions other than some of `rwm`. */
export function checkDevices(devices: readonly Device[], field: string): void {
  for (const [index, device] of devices.entries()) {
    const where = `${field}[${index}]`;
    checkAbsolutePath(device.host_path, `${where}.host_path`);
    if (!/^[rwm]{1,3}$/.test(device.permissions)) {
      throw invalidArgument(`${where}.permissions`, `expected some of "rwm", received "${device.permissions}"`);
    }
  }
}

function checkHostMount(mount: Mount, where: string): void {
  checkAbsolutePath(mount.host_path, `${where}.host_path`);
  checkMountOptions(mount.mount_options, `${where}.mount_options`);
  if (mount.image_sub_path !== '') throw invalidArgument(`${where}.image_sub_path`, 'the mount has no image');
}

function checkImageMount(mount: Mount, where: string): void {
  if (mount.host_path !== '') throw invalidArgument(`${where}.host_path`, 'must be empty for a mount of an image');
  if (!mount.readonly) throw invalidArgument(`${where}.readonly`, 'must be true for a mount of an image');
  if (mount.mount_options.length > 0) {
    throw invalidArgument(`${where}.mount_options`, 'must be empty for a mount of an image');
  }
  if (mount.image_sub_path.startsWith('/')) throw invalidArgument(`${where}.image_sub_path`, 'must be relative');
  checkNoClimb(mount.image_sub_path, `${where}.image_sub_path`);
}

function checkMountOptions(options: readonly string[], field: string): void {
  for (const [index, option] of options.entries()) {
    const where = `${field}[${index}]`;
    if (!isMountOption(option)) {
      throw invalidArgument(where, `expected one of ${MOUNT_OPTIONS.join(', ')}, received "${option}"`);
    }
    if (options.indexOf(option) < index) throw invalidArgument(where, `"${option}" is given twice`);
  }
}

function checkMappings(mappings: readonly IDMapping[], field: string): void {
  for (const [index, { length }] of mappings.entries()) {
    if (length < 1) throw invalidArgument(`${field}[${index}].length`, `expected 1 or more, received ${length}`);
  }
}
