import { isCode } from '../base/errors.js';
import type { Any, CallOptions, Containerd } from '../containerd/containerd.js';
import { specAny } from '../spec/spec-json.js';
import { containerRecord } from './container-record.js';
import type { Container, Pod } from './records.js';

/**
 * Creates the container's record again if another client has removed it, since containerd finds a task only by the
 * record. The task can then be killed and deleted; RemoveContainer deletes the record. The new spec has only what crid
 * knows of the old one. Returns whether the record was missing.
 */
export async function putBackRecord(
  { containerd, state }: { containerd: Pick<Containerd, 'containers'>; state: Known },
  id: string,
  options?: CallOptions,
): Promise<boolean> {
  const container = state.containers.byId(id);
  const pod = container && state.pods.byId(container.podId);
  if (!pod || !(await isMissing(containerd, id, options))) return false;
  const record = containerRecord(
    container,
    pod,
    pod.runtime,
    container.config.image?.image ?? '',
    knownSpec(container),
  );
  await containerd.containers.create(record, options).catch((thrown: unknown) => {
    if (!isCode(thrown, 'ALREADY_EXISTS')) throw thrown;
  });
  return true;
}

const knownSpec = ({ cgroupsPath, user: { uid, gid, additionalGids } }: Container): Any =>
  specAny({
    ociVersion: '1.2.0',
    process: { user: { uid, gid, additionalGids: [...additionalGids] }, args: [], env: [], cwd: '/' },
    root: { path: 'rootfs' },
    mounts: [],
    linux: { cgroupsPath, resources: {}, namespaces: [] },
  });

interface Known {
  readonly containers: { byId(id: string): Container | undefined };
  readonly pods: { byId(id: string): Pod | undefined };
}

async function isMissing(
  { containers }: Pick<Containerd, 'containers'>,
  id: string,
  options: CallOptions | undefined,
): Promise<boolean> {
  try {
    await containers.get(id, options);
    return false;
  } catch (thrown) {
    if (isCode(thrown, 'NOT_FOUND')) return true;
    throw thrown;
  }
}
