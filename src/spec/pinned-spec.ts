import type { NamespacePaths } from '../host/namespace/pin-namespaces.js';
import type { OciNamespaceType, OciSpec } from './oci.js';

/** The spec of a sandbox without a process, as its record keeps it. */
export type PinnedSpec = Omit<OciSpec, 'process' | 'root'>;

/** Returns what is left of a pause container's spec without the container, with the paths of the pod's namespaces. */
export function pinnedSpec({ ociVersion, hostname, annotations, linux }: OciSpec, paths: NamespacePaths): PinnedSpec {
  const { uidMappings, gidMappings, sysctl, cgroupsPath } = linux;
  return {
    ociVersion,
    ...(hostname !== undefined && { hostname }),
    mounts: [],
    ...(annotations && { annotations }),
    linux: {
      ...(uidMappings && { uidMappings }),
      ...(gidMappings && { gidMappings }),
      ...(sysctl && { sysctl }),
      resources: {},
      ...(cgroupsPath !== undefined && { cgroupsPath }),
      namespaces: Object.entries(paths).map(([type, path]) => ({ type: ociType(type), path })),
    },
  };
}

const ociType = (type: string): OciNamespaceType => (type === 'net' ? 'network' : (type as OciNamespaceType));
