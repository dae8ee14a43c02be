import {
  ContainerAdjustment,
  Field,
  Hooks,
  LinuxContainer,
  LinuxContainerAdjustment,
  LinuxResources,
  type ContainerEviction,
  type ContainerUpdate,
  type CreateContainerRequest,
  type CreateContainerResponse,
  type OwningPlugins,
} from '../../../generated/nri/v1alpha1/api.js';
import { envName, mergeEntries, mergeKeyed, mergeNamespaces, type Claims } from './merge-entries.js';
import { mergeLinuxScalars } from './merge-linux.js';
import { mergeResources } from './merge-resources.js';
import { createUpdates } from './merge-updates.js';
import { createOwners } from './owners.js';

/** The answers of the plugins to one CreateContainer, put together in the order of the plugins. */
export interface CreateMerge {
  /** The request for the next plugin: it shows what the plugins before it changed. */
  request(): CreateContainerRequest;
  /**
   * Adds the answer of a plugin, such as `10-logger`. FAILED_PRECONDITION: another plugin has set the same field, or
   * the plugin wants to update the container that is being created.
   */
  add(response: CreateContainerResponse, plugin: string): void;
  result(): CreateResult;
}

export interface CreateResult {
  readonly adjust: ContainerAdjustment;
  /** Updates of other containers, one for each. */
  readonly update: readonly ContainerUpdate[];
  readonly evict: readonly ContainerEviction[];
  readonly owners: OwningPlugins;
}

/**
 * Puts the answers of plugins to a CreateContainer together, by the rules of NRI (pkg/adaptation/result.go), except
 * that removals of environment variables and devices are kept in the result, and that no eviction is lost.
 */
export function mergeCreate(request: CreateContainerRequest): CreateMerge {
  const owners = createOwners();
  const { container: before, pod } = request;
  const id = before?.id ?? '';
  let draft: Draft = {
    container: { ...structuredClone(before!), linux: LinuxContainer.fromPartial(structuredClone(before?.linux ?? {})) },
    adjust: { ...ContainerAdjustment.fromPartial({}), linux: LinuxContainerAdjustment.fromPartial({}) },
  };
  const updates = createUpdates(owners, { creating: id });
  const evict: ContainerEviction[] = [];

  return {
    request: () => ({ pod, container: draft.container }),
    add(response, plugin) {
      if (response.adjust) draft = adjusted(draft, response.adjust, { owners, id, plugin });
      updates.add(response.update, plugin);
      evict.push(...response.evict);
    },
    result: () => ({ adjust: draft.adjust, update: updates.list(), evict, owners: owners.message() }),
  };
}

/** The container as the next plugin sees it, and the adjustments so far. `linux` of both is set. */
interface Draft {
  readonly container: NonNullable<CreateContainerRequest['container']>;
  readonly adjust: ContainerAdjustment;
}

function adjusted({ container, adjust }: Draft, asked: ContainerAdjustment, claims: Claims): Draft {
  const annotations = mergeEntries(asked.annotations, container.annotations, adjust.annotations, {
    ...claims,
    field: Field.Annotations,
    removed: '',
  });
  const mounts = mergeKeyed(asked.mounts, container.mounts, adjust.mounts, {
    ...claims,
    field: Field.Mounts,
    keyOf: ({ destination }) => destination,
  });
  const env = mergeKeyed(
    asked.env.map(({ key, value }) => ({ key, value })),
    container.env.map((line) => ({ key: envName(line), value: line.slice(envName(line).length + 1) })),
    adjust.env,
    { ...claims, field: Field.Env, keyOf: ({ key }) => key },
  );
  const args = mergeArgs(asked.args, claims);
  const hooks = mergeHooks(asked.hooks, claims);
  const linux = asked.linux ? adjustedLinux({ container, adjust }, asked.linux, claims) : undefined;
  for (const { type } of asked.rlimits) claims.owners.claim(claims.id, claims.plugin, Field.Rlimits, type);
  for (const { name } of asked.CDI_devices) claims.owners.claim(claims.id, claims.plugin, Field.CdiDevices, name);
  return {
    container: {
      ...container,
      annotations: annotations.shown,
      mounts: mounts.shown,
      env: env.shown.map(({ key, value }) => `${key}=${value}`),
      ...(args && { args }),
      hooks: appended(container.hooks, hooks),
      rlimits: [...container.rlimits, ...asked.rlimits],
      ...(linux && { linux: linux.shown }),
    },
    adjust: {
      annotations: annotations.adjusted,
      mounts: mounts.adjusted,
      env: env.adjusted,
      args: args ?? adjust.args,
      hooks: appended(adjust.hooks, hooks),
      rlimits: [...adjust.rlimits, ...asked.rlimits],
      CDI_devices: [...adjust.CDI_devices, ...asked.CDI_devices],
      linux: linux?.adjusted ?? adjust.linux,
    },
  };
}

function adjustedLinux(
  { container, adjust }: Draft,
  asked: LinuxContainerAdjustment,
  claims: Claims,
): { shown: LinuxContainer; adjusted: LinuxContainerAdjustment } {
  const shown = container.linux!;
  const before = adjust.linux!;
  const devices = mergeKeyed(asked.devices, shown.devices, before.devices, {
    ...claims,
    field: Field.Devices,
    keyOf: ({ path }) => path,
  });
  const resources = asked.resources ?? LinuxResources.fromPartial({});
  mergeResources.claim(resources, claims);
  const scalars = mergeLinuxScalars(asked, shown, before, claims);
  const namespaces = mergeNamespaces(asked.namespaces, shown.namespaces, before.namespaces, claims);
  const sysctl = mergeEntries(asked.sysctl, shown.sysctl, before.sysctl, {
    ...claims,
    field: Field.Sysctl,
    removed: '',
  });
  const netDevices = mergeEntries(asked.net_devices, shown.net_devices, before.net_devices, {
    ...claims,
    field: Field.LinuxNetDevices,
    removed: { name: '' },
  });
  return {
    shown: {
      ...shown,
      ...scalars.shown,
      devices: devices.shown,
      resources: mergeResources.over(shown.resources, resources),
      namespaces: namespaces.shown,
      sysctl: sysctl.shown,
      net_devices: netDevices.shown,
    },
    adjusted: {
      ...before,
      ...scalars.adjusted,
      devices: devices.adjusted,
      ...(asked.resources && { resources: mergeResources.over(before.resources, resources) }),
      namespaces: namespaces.adjusted,
      sysctl: sysctl.adjusted,
      net_devices: netDevices.adjusted,
    },
  };
}

/** Returns the new arguments, if a plugin sets them. An empty first argument takes them over from another plugin. */
function mergeArgs(asked: readonly string[], { owners, id, plugin }: Claims): string[] | undefined {
  if (asked.length === 0) return undefined;
  const takesOver = asked[0] === '';
  if (takesOver) owners.clear(id, plugin, Field.Args);
  owners.claim(id, plugin, Field.Args);
  return asked.slice(takesOver ? 1 : 0);
}

const HOOKS = ['prestart', 'create_runtime', 'create_container', 'start_container', 'poststart', 'poststop'] as const;

function mergeHooks(asked: Hooks | undefined, { owners, id, plugin }: Claims): Hooks | undefined {
  if (!asked || HOOKS.every((name) => asked[name].length === 0)) return undefined;
  owners.share(id, plugin);
  return asked;
}

function appended(before: Hooks | undefined, added: Hooks | undefined): Hooks | undefined {
  if (!added) return before;
  const hooks = Hooks.fromPartial(before ?? {});
  for (const name of HOOKS) hooks[name] = [...hooks[name], ...added[name]];
  return hooks;
}
