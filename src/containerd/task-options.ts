import { CheckpointOptions, Options as RuncOptions } from '../../generated/containerd/types/runc/options/oci.js';
import { CriError } from '../base/errors.js';
import { anyOf } from './any.js';
import type { Any, ContainerRecord } from './containerd.js';
import { RUNC_OPTIONS, RUNC_RUNTIME } from './runtime-options.js';

/** The needs of one task besides the options of its runtime. */
export interface TaskNeeds {
  /** The host's ids of the container's user, which own the container's pipes. */
  readonly ioOwner?: { readonly uid: number; readonly gid: number } | undefined;
  /**
   * The endpoint at which a sandbox serves the tasks of its pod: `ttrpc+unix:///…`. containerd before 2.3.1 reads it
   * only here. Later versions prefer the fields of the request, and warn of the options only when the request has none.
   */
  readonly endpoint?: { readonly address: string; readonly version: number } | undefined;
}

/**
 * Returns the options of Tasks.Create; undefined when those of the container's record are enough. They replace the
 * record's options, so they include them. Only runc's options have fields for these needs.
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
 * Returns the options of Tasks.Checkpoint: CRIU writes its images to `imageDir` and its log and statistics to
 * `workDir`, and the task keeps running. Open connections and file locks, which most servers have, are allowed.
 * FAILED_PRECONDITION for a runtime other than runc's shim.
 */
export function checkpointOptions(
  runtime: ContainerRecord['runtime'],
  { imageDir, workDir }: { readonly imageDir: string; readonly workDir: string },
): Any {
  if (runtime.name !== RUNC_RUNTIME) {
    throw new CriError('FAILED_PRECONDITION', `the runtime ${runtime.name} is not known to support checkpoints`);
  }
  const options = { image_path: imageDir, work_path: workDir, open_tcp: true, file_locks: true };
  return anyOf(
    'containerd.runc.v1.CheckpointOptions',
    CheckpointOptions.encode(CheckpointOptions.fromPartial(options)).finish(),
  );
}
