import { z } from 'zod';
import type {
  ContainerConfig,
  ContainerMetadata as CriContainerMetadata,
  PodSandboxConfig,
  PodSandboxMetadata,
} from '../../generated/runtime/v1/api.js';
import type { Any } from '../containerd/containerd.js';
import type { CniResult } from '../network/network.js';
import { containerConfigFromGoJson, podSandboxConfigFromGoJson, toGoJson } from './go-json.js';
import { decode, object, text, textOf, toAny, VERSION } from './stored-json.js';

export {
  decodePluginStatus,
  decodeStatus,
  encodePluginStatus,
  encodeStatus,
  STATUS_EXTENSION,
} from './stored-status.js';
export type { StoredStatus } from './stored-status.js';

/**
 * The data in containerd, in the form that containerd's own CRI plugin reads and writes: Go's JSON in an Any, in an
 * envelope with a version. Another version or type is refused with INTERNAL; unknown fields are ignored.
 */

/** An extension of the pause container; the sandbox record has the same data as its extension `metadata`. */
export const SANDBOX_METADATA_EXTENSION = 'io.cri-containerd.sandbox.metadata';
export const CONTAINER_METADATA_EXTENSION = 'io.cri-containerd.container.metadata';

export const SANDBOX_METADATA_TYPE_URL = 'github.com/containerd/cri/pkg/store/sandbox/Metadata';
export const CONTAINER_METADATA_TYPE_URL = 'github.com/containerd/cri/pkg/store/container/Metadata';

export interface SandboxMetadata {
  readonly id: string;
  readonly name: string;
  readonly config: PodSandboxConfig;
  /** "" for a pod on the host's network. */
  readonly netnsPath: string;
  readonly ip: string;
  readonly additionalIps: readonly string[];
  readonly runtimeHandler: string;
  readonly cniResult: CniResult | undefined;
  readonly processLabel: string;
}

export interface ContainerMetadata {
  readonly id: string;
  readonly name: string;
  readonly sandboxId: string;
  readonly config: ContainerConfig;
  /** The id (config digest) of the container's image. */
  readonly imageRef: string;
  /** The digest that the image's record points at; "" in a record older than containerd 2.4. */
  readonly imageDigest: string;
  /** The name of the image's record, a tag if it has one; "" in a record older than containerd 2.4. */
  readonly imageName: string;
  readonly logPath: string;
  readonly stopSignal: string;
  readonly processLabel: string;
}

export const sandboxName = (pod: PodSandboxMetadata): string =>
  [pod.name, pod.namespace, pod.uid, pod.attempt].join('_');

export const containerName = (container: CriContainerMetadata, pod: PodSandboxMetadata): string =>
  [container.name, pod.name, pod.namespace, pod.uid, container.attempt].join('_');

/** Returns the envelope as plain values, for the Any and for `sandboxMetadata` in `crictl inspectp`. */
export const goSandboxMetadata = (m: SandboxMetadata): unknown => ({
  Version: VERSION,
  Metadata: {
    ID: m.id,
    Name: m.name,
    Config: toGoJson(m.config),
    NetNSPath: m.netnsPath,
    IP: m.ip,
    AdditionalIPs: m.additionalIps.length > 0 ? m.additionalIps : null,
    RuntimeHandler: m.runtimeHandler,
    CNIResult: m.cniResult ?? null,
    ProcessLabel: m.processLabel,
  },
});

export const encodeSandboxMetadata = (m: SandboxMetadata): Any =>
  toAny(SANDBOX_METADATA_TYPE_URL, goSandboxMetadata(m));

/** `id` is the id of the pod or container, for the error (INTERNAL). */
export function decodeSandboxMetadata(any: Any, id?: string): SandboxMetadata {
  const { Metadata: m } = decode(sandboxEnvelope, textOf(any, SANDBOX_METADATA_TYPE_URL, id), 'sandbox metadata', id);
  return {
    id: m.ID,
    name: m.Name,
    config: m.Config,
    netnsPath: m.NetNSPath,
    ip: m.IP,
    additionalIps: m.AdditionalIPs ?? [],
    runtimeHandler: m.RuntimeHandler,
    cniResult: m.CNIResult ?? undefined,
    processLabel: m.ProcessLabel,
  };
}

export const encodeContainerMetadata = (m: ContainerMetadata): Any =>
  toAny(CONTAINER_METADATA_TYPE_URL, {
    Version: VERSION,
    Metadata: {
      ID: m.id,
      Name: m.name,
      SandboxID: m.sandboxId,
      Config: toGoJson(m.config),
      ImageRef: m.imageRef,
      ImageDigest: m.imageDigest,
      ImageName: m.imageName,
      LogPath: m.logPath,
      StopSignal: m.stopSignal,
      ProcessLabel: m.processLabel,
    },
  });

/** `id` is the id of the pod or container, for the error (INTERNAL). */
export function decodeContainerMetadata(any: Any, id?: string): ContainerMetadata {
  const text = textOf(any, CONTAINER_METADATA_TYPE_URL, id);
  const { Metadata: m } = decode(containerEnvelope, text, 'container metadata', id);
  return {
    id: m.ID,
    name: m.Name,
    sandboxId: m.SandboxID,
    config: m.Config,
    imageRef: m.ImageRef,
    imageDigest: m.ImageDigest,
    imageName: m.ImageName,
    logPath: m.LogPath,
    stopSignal: m.StopSignal,
    processLabel: m.ProcessLabel,
  };
}

const sandboxEnvelope = z.object({
  Version: z.literal(VERSION),
  Metadata: z.object({
    ID: text,
    Name: text,
    Config: object.transform(podSandboxConfigFromGoJson),
    NetNSPath: text,
    IP: text,
    AdditionalIPs: z.array(z.string()).nullish(),
    RuntimeHandler: text,
    CNIResult: (object as unknown as z.ZodType<CniResult>).nullish(),
    ProcessLabel: text,
  }),
});

const containerEnvelope = z.object({
  Version: z.literal(VERSION),
  Metadata: z.object({
    ID: text,
    Name: text,
    SandboxID: text,
    Config: object.transform(containerConfigFromGoJson),
    ImageRef: text,
    ImageDigest: text,
    ImageName: text,
    LogPath: text,
    StopSignal: text,
    ProcessLabel: text,
  }),
});
