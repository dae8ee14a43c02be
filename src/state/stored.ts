import { z } from 'zod';
import type {
  ContainerConfig,
  ContainerMetadata as CriContainerMetadata,
  ContainerResources,
  PodSandboxConfig,
  PodSandboxMetadata,
} from '../../generated/runtime/v1/api.js';
import { CriError } from '../base/errors.js';
import type { Any } from '../containerd/containerd.js';
import type { CniResult } from '../network/network.js';
import {
  containerConfigFromGoJson,
  containerResourcesFromGoJson,
  parseGoJson,
  podSandboxConfigFromGoJson,
  stringifyGoJson,
  toGoJson,
} from './go-json.js';

/**
 * What is kept in containerd, in the form that containerd's own CRI plugin reads and writes: Go's JSON in an Any, in
 * an envelope with a version. What another version or type has written is refused with INTERNAL; fields that are not
 * known are passed over.
 */

/** Extension of the pause container, and `metadata` of the sandbox record. */
export const SANDBOX_METADATA_EXTENSION = 'io.cri-containerd.sandbox.metadata';
export const CONTAINER_METADATA_EXTENSION = 'io.cri-containerd.container.metadata';
/** crid's own: what the plugin keeps in a file beside containerd. */
export const STATUS_EXTENSION = 'io.crid.container.status';

export const SANDBOX_METADATA_TYPE_URL = 'github.com/containerd/cri/pkg/store/sandbox/Metadata';
export const CONTAINER_METADATA_TYPE_URL = 'github.com/containerd/cri/pkg/store/container/Metadata';
export const STATUS_TYPE_URL = 'io.crid/container/Status';

const VERSION = 'v1';

export interface SandboxMetadata {
  readonly id: string;
  readonly name: string;
  readonly config: PodSandboxConfig;
  /** "" on the host's network. */
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
  /** The id (config digest) of the image that it was made from. */
  readonly imageRef: string;
  readonly logPath: string;
  readonly stopSignal: string;
  readonly processLabel: string;
}

/** Times are nanoseconds since the epoch, 0n for what has not happened. */
export interface StoredStatus {
  readonly pid: number;
  readonly createdAt: bigint;
  readonly startedAt: bigint;
  readonly finishedAt: bigint;
  readonly exitCode: number;
  readonly reason: string;
  readonly message: string;
  readonly resources?: ContainerResources | undefined;
  /** The plugin's mark on a container that is to be restored from a checkpoint rather than started. */
  readonly restore?: boolean | undefined;
}

export const sandboxName = (pod: PodSandboxMetadata): string =>
  [pod.name, pod.namespace, pod.uid, pod.attempt].join('_');

export const containerName = (container: CriContainerMetadata, pod: PodSandboxMetadata): string =>
  [container.name, pod.name, pod.namespace, pod.uid, container.attempt].join('_');

/** The envelope as plain values, for Any and for what `crictl inspectp` shows as `sandboxMetadata`. */
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

/** `id`: whose metadata it is, for the error. */
export function decodeSandboxMetadata(any: Any, id?: string): SandboxMetadata {
  const { Metadata: m } = decode(sandboxEnvelope, textOf(any, SANDBOX_METADATA_TYPE_URL, id), 'sandbox metadata', id);
  return {
    id: m.ID,
    name: m.Name,
    config: podSandboxConfigFromGoJson(m.Config),
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
      LogPath: m.logPath,
      StopSignal: m.stopSignal,
      ProcessLabel: m.processLabel,
    },
  });

/** `id`: whose metadata it is, for the error. */
export function decodeContainerMetadata(any: Any, id?: string): ContainerMetadata {
  const text = textOf(any, CONTAINER_METADATA_TYPE_URL, id);
  const { Metadata: m } = decode(containerEnvelope, text, 'container metadata', id);
  return {
    id: m.ID,
    name: m.Name,
    sandboxId: m.SandboxID,
    config: containerConfigFromGoJson(m.Config),
    imageRef: m.ImageRef,
    logPath: m.LogPath,
    stopSignal: m.StopSignal,
    processLabel: m.ProcessLabel,
  };
}

/** The plugin's file `containers/ID/status`. */
export const encodePluginStatus = (status: StoredStatus): string =>
  stringifyGoJson({
    Version: VERSION,
    Pid: status.pid,
    CreatedAt: status.createdAt,
    StartedAt: status.startedAt,
    FinishedAt: status.finishedAt,
    ExitCode: status.exitCode,
    Reason: status.reason,
    Message: status.message,
    Resources: status.resources ? toGoJson(status.resources) : null,
    Restore: status.restore ?? false,
  });

/** `id`: whose status it is, for the error. */
export function decodePluginStatus(text: string, id?: string): StoredStatus {
  const s = decode(flatStatus, text, 'container status', id);
  return {
    pid: s.Pid,
    createdAt: s.CreatedAt,
    startedAt: s.StartedAt,
    finishedAt: s.FinishedAt,
    exitCode: s.ExitCode,
    reason: s.Reason,
    message: s.Message,
    ...(s.Resources ? { resources: containerResourcesFromGoJson(s.Resources) } : {}),
    ...(s.Restore ? { restore: true } : {}),
  };
}

/** crid's own extension: the text of the plugin's file in an Any. */
export const encodeStatus = (status: StoredStatus): Any => ({
  type_url: STATUS_TYPE_URL,
  value: Buffer.from(encodePluginStatus(status)),
});

/** `id`: whose status it is, for the error. */
export const decodeStatus = (any: Any, id?: string): StoredStatus =>
  decodePluginStatus(textOf(any, STATUS_TYPE_URL, id), id);

const text = z.string().default('');
const int = z.number().int().default(0);
const nanoseconds = z
  .union([z.bigint(), z.number().int()])
  .default(0n)
  .transform((value) => BigInt(value));
const object = z.custom<object>((value) => typeof value === 'object' && value !== null && !Array.isArray(value));

const sandboxEnvelope = z.object({
  Version: z.literal(VERSION),
  Metadata: z.object({
    ID: text,
    Name: text,
    Config: object,
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
    Config: object,
    ImageRef: text,
    LogPath: text,
    StopSignal: text,
    ProcessLabel: text,
  }),
});

const flatStatus = z.object({
  Version: z.literal(VERSION),
  Pid: int,
  CreatedAt: nanoseconds,
  StartedAt: nanoseconds,
  FinishedAt: nanoseconds,
  ExitCode: int,
  Reason: text,
  Message: text,
  Resources: object.nullish(),
  Restore: z.boolean().default(false),
});

const toAny = (typeUrl: string, value: unknown): Any => ({
  type_url: typeUrl,
  value: Buffer.from(stringifyGoJson(value)),
});

function textOf(any: Any, typeUrl: string, id = 'unknown'): string {
  if (any.type_url === typeUrl) return Buffer.from(any.value).toString('utf8');
  throw new CriError('INTERNAL', `"${id}": stored as type "${any.type_url}", want "${typeUrl}"`);
}

function decode<T>(schema: z.ZodType<T>, json: string, what: string, id: string | undefined): T {
  let value: unknown;
  try {
    value = parseGoJson(json);
  } catch (cause) {
    throw new CriError('INTERNAL', `${what} of "${id ?? 'unknown'}": not JSON`, { cause });
  }
  const owner = id ?? (value as { Metadata?: { ID?: string } } | null)?.Metadata?.ID ?? 'unknown';
  const version = (value as { Version?: unknown } | null)?.Version;
  if (version !== VERSION) {
    throw new CriError('INTERNAL', `${what} of "${owner}": unsupported version "${String(version)}"`);
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new CriError('INTERNAL', `${what} of "${owner}": ${issue?.path.join('.')}: ${issue?.message}`, {
    cause: result.error,
  });
}
