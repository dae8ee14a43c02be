import { z } from 'zod';
import type { ContainerResources } from '../../generated/runtime/v1/api.js';
import type { Any } from '../containerd/containerd.js';
import { containerResourcesFromGoJson, stringifyGoJson, toGoJson } from './go-json.js';
import { decode, int, nanoseconds, object, text, textOf, VERSION } from './stored-json.js';

/** crid's own extension; containerd's CRI plugin keeps the same data in a file, outside containerd's database. */
export const STATUS_EXTENSION = 'io.crid.container.status';
const STATUS_TYPE_URL = 'io.crid/container/Status';

/** Times are nanoseconds since the epoch; 0n means that the event has not happened. */
export interface StoredStatus {
  readonly pid: number;
  readonly createdAt: bigint;
  readonly startedAt: bigint;
  readonly finishedAt: bigint;
  readonly exitCode: number;
  readonly reason: string;
  readonly message: string;
  readonly resources?: ContainerResources | undefined;
  /** Set by containerd's CRI plugin on a container that is to be restored from a checkpoint rather than started. */
  readonly restore?: boolean | undefined;
}

/** Returns the content of the CRI plugin's file `containers/ID/status`. */
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

/** `id` is the container's id, for the error (INTERNAL). */
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
    ...(s.Resources ? { resources: s.Resources } : {}),
    ...(s.Restore ? { restore: true } : {}),
  };
}

/** Returns crid's extension: the text of the CRI plugin's file in an Any. */
export const encodeStatus = (status: StoredStatus): Any => ({
  type_url: STATUS_TYPE_URL,
  value: Buffer.from(encodePluginStatus(status)),
});

/** `id` is the container's id, for the error (INTERNAL). */
export const decodeStatus = (any: Any, id?: string): StoredStatus =>
  decodePluginStatus(textOf(any, STATUS_TYPE_URL, id), id);

const flatStatus = z.object({
  Version: z.literal(VERSION),
  Pid: int,
  CreatedAt: nanoseconds,
  StartedAt: nanoseconds,
  FinishedAt: nanoseconds,
  ExitCode: int,
  Reason: text,
  Message: text,
  Resources: object.transform(containerResourcesFromGoJson).nullish(),
  Restore: z.boolean().default(false),
});
