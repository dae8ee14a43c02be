import { CheckpointOptions, Options as RuncOptions } from '../../generated/containerd/types/runc/options/oci.js';
import { CriError } from '../base/errors.js';
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

/**
 * The options of Tasks.Checkpoint: CRIU's images go to `imageDir`, its log and its statistics to `workDir`, and the task
 * goes on. Open connections and locks of files, which most servers have, do not stand in the way.
 * FAILED_PRECONDITION: another runtime than runc's shim.
 */
export function checkpointOptions(
  runtime: ContainerRecord['runtime'],
  { imageDir, workDir }: { readonly imageDir: string; readonly workDir: string },
): Any {
  if (runtime.name !== RUNC_RUNTIME) {
    throw new CriError('FAILED_PRECONDITION', `the runtime ${runtime.name} is not known to make checkpoints`);
  }
  const options = { image_path: imageDir, work_path: workDir, open_tcp: true, file_locks: true };
  return anyOf(
    'containerd.runc.v1.CheckpointOptions',
    CheckpointOptions.encode(CheckpointOptions.fromPartial(options)).finish(),
  );
}
