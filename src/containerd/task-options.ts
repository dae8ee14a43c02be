import { Options as RuncOptions } from '../../generated/containerd/types/runc/options/oci.js';
import { anyOf } from './any.js';
import type { Any, ContainerRecord } from './containerd.js';
import { RUNC_OPTIONS, RUNC_RUNTIME } from './runtime-options.js';

/** What one task needs beside the options of its runtime. */
export interface TaskNeeds {
  /** The host's ids of the container's user, to whom its pipes are to belong. */
  readonly ioOwner?: { readonly uid: number; readonly gid: number } | undefined;
  /** Where a sandbox serves the tasks of its pod: `ttrpc+unix:///…`. */
  readonly endpoint?: { readonly address: string; readonly version: number } | undefined;
}

/**
 * The options of Tasks.Create: undefined where those of the container's record will do. Where they are given they take
 * the place of the record's, so these are in them too. Only runc's have room for such needs.
 */
export function taskOptions(runtime: ContainerRecord['runtime'], { ioOwner, endpoint }: TaskNeeds): Any | undefined {
  if (runtime.name !== RUNC_RUNTIME || (!ioOwner && !endpoint)) return undefined;
  const known =
    runtime.options?.type_url === RUNC_OPTIONS
      ? RuncOptions.decode(runtime.options.value)
      : RuncOptions.fromPartial({});
  const options = {
    ...known,
    ...(ioOwner && { io_uid: ioOwner.uid, io_gid: ioOwner.gid }),
    ...(endpoint && { task_api_address: endpoint.address, task_api_version: endpoint.version }),
  };
  return anyOf(RUNC_OPTIONS, RuncOptions.encode(options).finish());
}
