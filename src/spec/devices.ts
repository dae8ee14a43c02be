import type { Int64Value } from '../../generated/runtime/v1/api.js';
import type { OciDevice, OciDeviceRule } from './oci.js';
import type { ResolvedDevice } from './types.js';

export interface Devices {
  readonly devices: OciDevice[];
  readonly rules: OciDeviceRule[];
}

/** Denies every device that no later rule allows. Runtimes add /dev/null and other default devices by themselves. */
export const DENY_ALL: OciDeviceRule = { allow: false, access: 'rwm' };
const ALLOW_ALL: OciDeviceRule = { allow: true, access: 'rwm' };

/**
 * Returns the device nodes of a container and the rules of its device cgroup. A requested device gets a node and a
 * rule. A privileged container also gets every device of the host and may use all devices, unless its handler says
 * otherwise. If two devices have one path, the requested device wins.
 */
export function containerDevices(input: {
  readonly requested: readonly ResolvedDevice[];
  readonly hostDevices: readonly ResolvedDevice[];
  readonly privileged: boolean;
  readonly withoutHostDevices: boolean;
  readonly allDevicesAllowed: boolean;
  /** CRI run_as_user and run_as_group, if they are to own the devices (`device_ownership_from_security_context`). */
  readonly owner?: { readonly uid: Int64Value | undefined; readonly gid: Int64Value | undefined } | undefined;
  readonly baseRules?: readonly OciDeviceRule[] | undefined;
  readonly baseDevices?: readonly OciDevice[] | undefined;
}): Devices {
  const { requested, privileged, owner } = input;
  const owned = requested.map((device) => ociDevice(device, owner));
  const hostDevices =
    privileged && !input.withoutHostDevices ? input.hostDevices.map((device) => ociDevice(device)) : [];
  const allowAll = privileged && (!input.withoutHostDevices || input.allDevicesAllowed);
  return {
    devices: firstOfEachPath([...owned, ...(input.baseDevices ?? []), ...hostDevices]),
    rules: allowAll ? [ALLOW_ALL] : [...(input.baseRules ?? [DENY_ALL]), ...requested.map(deviceRule)],
  };
}

const deviceRule = ({ type, major, minor, access }: ResolvedDevice): OciDeviceRule => ({
  allow: true,
  type,
  major,
  minor,
  access,
});

function ociDevice(
  { path, type, major, minor, fileMode, uid, gid }: ResolvedDevice,
  owner?: { readonly uid: Int64Value | undefined; readonly gid: Int64Value | undefined },
): OciDevice {
  // If the security context names root, the node keeps its owner on the host.
  const ownerUid = Number(owner?.uid?.value ?? 0n) || uid;
  const ownerGid = Number(owner?.gid?.value ?? 0n) || gid;
  return { path, type, major, minor, fileMode, uid: ownerUid, gid: ownerGid };
}

function firstOfEachPath(devices: readonly OciDevice[]): OciDevice[] {
  const byPath = new Map<string, OciDevice>();
  for (const device of devices) if (!byPath.has(device.path)) byPath.set(device.path, device);
  return [...byPath.values()];
}
