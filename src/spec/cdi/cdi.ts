import type { ContainerConfig } from '../../../generated/runtime/v1/api.js';
import { invalidArgument } from '../../base/errors.js';
import { cleanPath, depthOf } from '../clean-path.js';
import { mergedEnv } from '../env.js';
import type { OciDevice, OciDeviceRule, OciHookName, OciMount, OciSpec } from '../oci.js';

/** Edits of a Container Device Interface spec (CDI 1.0, containerEdits). The caller fills in the device numbers. */
export interface CdiEdits {
  readonly env?: readonly string[];
  readonly deviceNodes?: readonly CdiDeviceNode[];
  readonly mounts?: readonly CdiMount[];
  readonly hooks?: readonly CdiHook[];
  readonly additionalGids?: readonly number[];
  readonly netDevices?: readonly { readonly hostInterfaceName: string; readonly name: string }[];
  readonly intelRdt?: Readonly<Record<string, unknown>>;
}

export interface CdiDeviceNode {
  /** Inside the container. */
  readonly path: string;
  /** On the host; `path` when unset. */
  readonly hostPath?: string;
  readonly type?: string;
  readonly major?: number;
  readonly minor?: number;
  readonly fileMode?: number;
  /** A subset of `rwm`; all when unset. */
  readonly permissions?: string;
  readonly uid?: number;
  readonly gid?: number;
}

export interface CdiMount {
  readonly hostPath: string;
  readonly containerPath: string;
  readonly options?: readonly string[];
  readonly type?: string;
}

export interface CdiHook {
  /** `prestart`, `createRuntime`, `createContainer`, `startContainer`, `poststart` or `poststop`. */
  readonly hookName: string;
  readonly path: string;
  readonly args?: readonly string[];
  readonly env?: readonly string[];
  readonly timeout?: number;
}

/**
 * Returns the qualified names (`vendor/class=device`) of the devices that a request asks for, without duplicates: those
 * of the field `CDI_devices`, then those of the `cdi.k8s.io/` annotations. An image cannot request devices
 * (CVE-2026-53492). INVALID_ARGUMENT for a name that is not qualified.
 */
export function cdiDeviceNames(config: Pick<ContainerConfig, 'CDI_devices' | 'annotations'>): string[] {
  const fromField = config.CDI_devices.map(({ name }, index) => qualified(name, `config.CDI_devices[${index}].name`));
  const fromAnnotations = Object.entries(config.annotations)
    .filter(([key]) => key.startsWith('cdi.k8s.io/'))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([key, value]) => value.split(',').map((name) => qualified(name, `config.annotations[${key}]`)));
  return [...new Set([...fromField, ...fromAnnotations])];
}

/** Returns a copy of the spec with the edits of every device applied, in order. */
export const withCdiEdits = (spec: OciSpec, edits: readonly CdiEdits[]): OciSpec => edits.reduce(withEdits, spec);

function withEdits(spec: OciSpec, edits: CdiEdits): OciSpec {
  const { process, linux } = spec;
  const nodes = edits.deviceNodes ?? [];
  const paths = new Set(nodes.map(({ path }) => path));
  const gids = [...(process.user.additionalGids ?? []), ...(edits.additionalGids ?? [])];
  const rules = nodes.filter(({ type }) => type === 'b' || type === 'c').map(nodeRule);
  return {
    ...spec,
    process: {
      ...process,
      env: mergedEnv([...process.env, ...(edits.env ?? [])]),
      user: { ...process.user, ...(gids.length > 0 && { additionalGids: [...new Set(gids)] }) },
    },
    mounts: withMounts(spec.mounts, edits.mounts ?? []),
    ...(edits.hooks && { hooks: withHooks(spec.hooks ?? {}, edits.hooks) }),
    linux: {
      ...linux,
      devices: [
        ...(linux.devices ?? []).filter(({ path }) => !paths.has(path)),
        ...nodes.map((node) => nodeDevice(node, process.user)),
      ],
      resources: { ...linux.resources, devices: [...(linux.resources.devices ?? []), ...rules] },
      ...(edits.netDevices && { netDevices: { ...linux.netDevices, ...netDevices(edits.netDevices) } }),
      ...(edits.intelRdt && { intelRdt: { ...edits.intelRdt } }),
    },
  };
}

/** Sorts the mounts by depth if an added mount would hide an earlier one. */
function withMounts(mounts: readonly OciMount[], added: readonly CdiMount[]): OciMount[] {
  if (added.length === 0) return [...mounts];
  const targets = new Set(added.map(({ containerPath }) => cleanPath(containerPath)));
  const kept = mounts.filter(({ destination }) => !targets.has(cleanPath(destination)));
  const cdi = added.map(({ hostPath, containerPath, options, type }) => ({
    destination: containerPath,
    source: hostPath,
    ...(type && { type }),
    options: [...(options ?? ['rbind'])],
  }));
  const all = [...kept, ...cdi];
  const hides = cdi.some((one, index) =>
    all.slice(0, kept.length + index).some(({ destination }) => isBelow(destination, one.destination)),
  );
  return hides ? all.sort((a, b) => depthOf(a.destination) - depthOf(b.destination)) : all;
}

const isBelow = (path: string, parent: string): boolean => cleanPath(path).startsWith(`${cleanPath(parent)}/`);

/** A device node without an owner belongs to the container's user, unless that user is root. */
function nodeDevice(node: CdiDeviceNode, user: { readonly uid: number; readonly gid: number }): OciDevice {
  const { path, type, major, minor, fileMode } = node;
  if (type === undefined) throw invalidArgument('config.CDI_devices', `device node ${path} has no type`);
  const uid = node.uid ?? (user.uid || undefined);
  const gid = node.gid ?? (user.gid || undefined);
  return {
    path,
    type,
    major: major ?? 0,
    minor: minor ?? 0,
    ...(fileMode !== undefined && { fileMode }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
  };
}

const nodeRule = ({ type, major, minor, permissions }: CdiDeviceNode): OciDeviceRule => ({
  allow: true,
  ...(type !== undefined && { type }),
  ...(major !== undefined && { major }),
  ...(minor !== undefined && { minor }),
  access: permissions || 'rwm',
});

const HOOK_NAMES: readonly string[] = [
  'prestart',
  'createRuntime',
  'createContainer',
  'startContainer',
  'poststart',
  'poststop',
];

function withHooks(hooks: NonNullable<OciSpec['hooks']>, added: readonly CdiHook[]): NonNullable<OciSpec['hooks']> {
  const result = { ...hooks };
  for (const { hookName, path, args, env, timeout } of added) {
    if (!HOOK_NAMES.includes(hookName)) throw invalidArgument('config.CDI_devices', `unknown hook "${hookName}"`);
    const name = hookName as OciHookName;
    const hook = {
      path,
      ...(args && { args: [...args] }),
      ...(env && { env: [...env] }),
      ...(timeout !== undefined && { timeout }),
    };
    result[name] = [...(result[name] ?? []), hook];
  }
  return result;
}

const netDevices = (devices: NonNullable<CdiEdits['netDevices']>): Record<string, { name: string }> =>
  Object.fromEntries(devices.map(({ hostInterfaceName, name }) => [hostInterfaceName, { name }]));

function qualified(name: string, field: string): string {
  if (!/^[A-Za-z][A-Za-z0-9._-]*\/[A-Za-z][A-Za-z0-9_-]*=[A-Za-z0-9][A-Za-z0-9._:-]*$/.test(name)) {
    throw invalidArgument(field, `"${name}" is not a qualified device name (vendor/class=device)`);
  }
  return name;
}
