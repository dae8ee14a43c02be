import { ContainerConfig, PodSandboxConfig } from '../../../generated/runtime/v1/api.js';
import type { Container, Pod } from '../../../src/state/records.js';

/** A ready pod and a running container, with the fields that statistics and events read. */
export const pod = (id: string, change: Partial<Pod> = {}): Pod => ({
  id,
  name: `pod-${id}`,
  config: PodSandboxConfig.fromPartial({
    metadata: { name: `pod-${id}`, namespace: 'default', uid: id, attempt: 0 },
    labels: { app: id },
    linux: { cgroup_parent: `/kubepods/${id}` },
  }),
  runtimeHandler: '',
  runtime: { name: 'io.containerd.runc.v2' },
  snapshotter: 'overlayfs',
  createdAtNs: 1n,
  netnsPath: '',
  network: undefined,
  processLabel: '',
  cgroupsPath: `/kubepods/${id}/${id}`,
  image: 'pause',
  state: { phase: 'ready', pid: 1 },
  ...change,
});

export const container = (id: string, podId: string, change: Partial<Container> = {}): Container => ({
  id,
  name: `container-${id}`,
  podId,
  config: ContainerConfig.fromPartial({ metadata: { name: `container-${id}`, attempt: 0 }, labels: { app: podId } }),
  imageId: 'sha256:1',
  imageDigest: '',
  imageName: '',
  logPath: '',
  stopSignal: 'SIGTERM',
  processLabel: '',
  snapshotter: 'overlayfs',
  cgroupsPath: `/kubepods/${podId}/${id}`,
  user: { uid: 0, gid: 0, additionalGids: [] },
  createdAtNs: 1n,
  resources: undefined,
  state: { phase: 'running', pid: 2, startedAtNs: 2n },
  ...change,
});
