import {
  NamespaceMode,
  type IDMapping,
  type NamespaceOption,
  type UserNamespace,
} from '../../../generated/runtime/v1/api.js';
import { invalidArgument } from '../../base/errors.js';
import type { OciIdMapping } from '../oci.js';

export interface UserNamespaceMappings {
  readonly uids: OciIdMapping[];
  readonly gids: OciIdMapping[];
}

/**
 * Returns the mappings of a pod or container with its own user namespace; undefined when it uses the host's. There is
 * one mapping for uids and one for gids, since a snapshot can be remapped by only one. INVALID_ARGUMENT names the
 * invalid field.
 */
export function userNamespaceMappings(
  options: UserNamespace | undefined,
  field: string,
): UserNamespaceMappings | undefined {
  if (options === undefined) return undefined;
  const uids = mappingsOf(options.uids, `${field}.uids`);
  const gids = mappingsOf(options.gids, `${field}.gids`);
  switch (options.mode) {
    case NamespaceMode.NODE:
      if (uids.length + gids.length > 0) throw invalidArgument(field, 'mode NODE takes no mappings');
      return undefined;
    case NamespaceMode.POD:
      if (uids.length === 0 || gids.length === 0) {
        throw invalidArgument(field, 'mode POD needs one mapping of uids and one of gids');
      }
      return { uids, gids };
    default:
      throw invalidArgument(`${field}.mode`, `unsupported user namespace mode ${options.mode}`);
  }
}

/**
 * Returns the labels that make a snapshotter remap the owners of a snapshot's files to the user namespace; none without
 * mappings. A snapshotter that supports this has the capability `remap-ids`.
 */
export const remapLabels = (mappings: UserNamespaceMappings | undefined): Record<string, string> =>
  mappings
    ? {
        'containerd.io/snapshot/uidmapping': mappingText(mappings.uids),
        'containerd.io/snapshot/gidmapping': mappingText(mappings.gids),
      }
    : {};

/** Returns the host's ids of a user in the namespace; undefined when an id is not mapped. */
export function hostIds(
  { uids, gids }: UserNamespaceMappings,
  user: { readonly uid: number; readonly gid: number },
): { uid: number; gid: number } | undefined {
  const uid = hostId(uids, user.uid);
  const gid = hostId(gids, user.gid);
  return uid === undefined || gid === undefined ? undefined : { uid, gid };
}

/** INVALID_ARGUMENT unless a container has the same user namespace mappings as its pod. */
export function checkSameUserNamespace(pod: NamespaceOption | undefined, container: NamespaceOption | undefined): void {
  const field = 'config.linux.security_context.namespace_options.userns_options';
  const ofPod = userNamespaceMappings(pod?.userns_options, `sandbox_${field}`);
  const ofContainer = userNamespaceMappings(container?.userns_options, field);
  if (JSON.stringify(ofPod) !== JSON.stringify(ofContainer)) {
    throw invalidArgument(field, "must equal the pod's");
  }
}

/** A mapping in the form of the OCI spec. */
export const ociMapping = ({ host_id, container_id, length }: IDMapping): OciIdMapping => ({
  containerID: container_id,
  hostID: host_id,
  size: length,
});

const mappingText = (mappings: readonly OciIdMapping[]): string =>
  mappings.map(({ containerID, hostID, size }) => `${containerID}:${hostID}:${size}`).join(',');

function hostId(mappings: readonly OciIdMapping[], id: number): number | undefined {
  const mapping = mappings.find(({ containerID, size }) => id >= containerID && id < containerID + size);
  return mapping && mapping.hostID + id - mapping.containerID;
}

/** Ids are 32 bits wide and the last one means "none". */
const ID_LIMIT = 2 ** 32 - 1;

function mappingsOf(mappings: readonly IDMapping[], field: string): OciIdMapping[] {
  if (mappings.length > 1) throw invalidArgument(field, `expected one mapping, received ${mappings.length}`);
  for (const { host_id, container_id, length } of mappings) {
    if (length < 1) throw invalidArgument(`${field}[0].length`, `expected 1 or more, received ${length}`);
    if (container_id !== 0) throw invalidArgument(`${field}[0].container_id`, 'root (0) is not mapped');
    if (host_id + length > ID_LIMIT || container_id + length > ID_LIMIT) {
      throw invalidArgument(`${field}[0]`, `ids exceed ${ID_LIMIT}`);
    }
  }
  return mappings.map(ociMapping);
}
