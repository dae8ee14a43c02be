import { CriError } from '../base/errors.js';
import { nowNs } from '../host/syscall/clock.js';
import type { Containerd, ContainerRecord, SandboxRecord } from '../containerd/containerd.js';
import { parseSpec } from '../spec/spec-json.js';
import { stopSignalNamed } from '../spec/stop-signal.js';
import { listInPieces } from '../containerd/list-in-pieces.js';
import type { Directories } from './directories.js';
import type { Claim } from './claims.js';
import { CREATING_LABEL, KIND_LABEL, RELEASED_LABEL, SANDBOXER_LABEL } from './labels.js';
import { PINNED } from './pod-view.js';
import type { Container, Pod } from './records.js';
import { fromStoredStatus } from './status-conversion.js';
import { laterStatus, readStatusFile } from './status-file.js';
import { decodeUpdatedResources, UPDATED_RESOURCES_EXTENSION } from './stored-resources.js';
import {
  CONTAINER_METADATA_EXTENSION,
  SANDBOX_METADATA_EXTENSION,
  STATUS_EXTENSION,
  decodeContainerMetadata,
  decodeSandboxMetadata,
  decodeStatus,
  type StoredStatus,
} from './stored.js';

/** The state in containerd's records, before crid has looked at the tasks. */
export interface Rebuilt {
  readonly pods: readonly Pod[];
  readonly containers: readonly Container[];
  /** The ids of all containers in the namespace, also of those that Kubernetes did not create. */
  readonly recordIds: ReadonlySet<string>;
  /** Records that could not be read, with the error. crid does not touch them. */
  readonly unreadable: readonly Claim[];
}

/**
 * Reads from containerd the pods and containers that crid or containerd's own CRI plugin created. Pods are returned as
 * not ready, containers in their last persisted state.
 */
export async function readRecords(
  containerd: Pick<Containerd, 'containers' | 'sandboxes'>,
  directories: Directories,
): Promise<Rebuilt> {
  const [all, stored] = await Promise.all([
    listInPieces((filters) => containerd.containers.list(filters), { field: 'id' }),
    listInPieces((filters) => containerd.sandboxes.list(filters), { field: 'id' }),
  ]);
  const unreadable: Claim[] = [...all.unreadable, ...stored.unreadable].map(({ prefix, error }) => ({
    id: prefix,
    name: '',
    error: error.message,
  }));
  const ofKind = (kind: string): ContainerRecord[] => all.records.filter(({ labels }) => labels[KIND_LABEL] === kind);
  const pausesById = new Map(ofKind('sandbox').map((record) => [record.id, record]));
  const storedById = new Map(
    stored.records.filter((sandbox) => sandbox.extensions['metadata']).map((sandbox) => [sandbox.id, sandbox]),
  );
  const readable = async <T>(id: string, read: () => Promise<T> | T): Promise<T[]> => {
    try {
      return [await read()];
    } catch (thrown) {
      unreadable.push({ id, name: storedById.get(id)?.labels['name'] ?? '', error: CriError.from(thrown).message });
      return [];
    }
  };
  const ids = [...new Set([...pausesById.keys(), ...storedById.keys()])];
  const pods = await Promise.all(
    ids.map((id) => readable(id, () => toPod(id, pausesById.get(id), storedById.get(id)))),
  );
  const containers = await Promise.all(
    ofKind('container').map((record) => readable(record.id, () => toContainer(record, directories))),
  );
  return {
    pods: pods.flat(),
    containers: containers.flat(),
    recordIds: new Set(all.records.map(({ id }) => id)),
    unreadable,
  };
}

/** Prefers the extension of the pause container; a pod that has lost that container still has the sandbox record. */
function toPod(id: string, container: ContainerRecord | undefined, sandbox: SandboxRecord | undefined): Pod {
  const extension = container?.extensions[SANDBOX_METADATA_EXTENSION] ?? sandbox?.extensions['metadata'];
  if (!extension) throw new CriError('INTERNAL', `pod sandbox "${id}" has no metadata extension`);
  const metadata = decodeSandboxMetadata(extension, id);
  const runtime = container?.runtime ?? sandbox?.runtime ?? { name: '' };
  const pinned = sandbox?.labels[SANDBOXER_LABEL] === PINNED ? sandbox : undefined;
  const updated = sandbox?.extensions[UPDATED_RESOURCES_EXTENSION];
  return {
    id,
    name: metadata.name,
    config: metadata.config,
    runtimeHandler: metadata.runtimeHandler,
    runtime,
    snapshotter: container?.snapshotter ?? '',
    createdAtNs: container?.createdAtNs ?? sandbox?.createdAtNs ?? nowNs(),
    netnsPath: metadata.netnsPath,
    network: metadata.cniResult && {
      ips: [metadata.ip, ...metadata.additionalIps].filter((ip) => ip !== ''),
      result: metadata.cniResult,
    },
    processLabel: metadata.processLabel,
    cgroupsPath: recordedCgroupsPath(container ?? pinned),
    image: container?.image ?? '',
    sandboxer: sandbox?.labels[SANDBOXER_LABEL],
    // The plugin also records the spec of a pause container.
    sandboxSpec: sandbox?.labels[SANDBOXER_LABEL] === undefined ? undefined : sandbox.spec,
    updatedResources: updated && decodeUpdatedResources(updated, id),
    halfMade: sandbox?.labels[CREATING_LABEL] !== undefined,
    state: { phase: 'not-ready', released: sandbox?.labels[RELEASED_LABEL] !== undefined, failedDetaches: 0 },
  };
}

/** Returns "" for a spec that cannot be read: the pod only loses its statistics. */
function recordedCgroupsPath(record: Pick<ContainerRecord, 'spec'> | undefined): string {
  try {
    return (record?.spec && parseSpec(record.spec).linux?.cgroupsPath) ?? '';
  } catch {
    return '';
  }
}

async function toContainer(record: ContainerRecord, directories: Directories): Promise<Container> {
  const extension = record.extensions[CONTAINER_METADATA_EXTENSION];
  if (!extension) throw new CriError('INTERNAL', `container "${record.id}" has no metadata extension`);
  const metadata = decodeContainerMetadata(extension, record.id);
  const spec = record.spec ? parseSpec(record.spec) : undefined;
  const status = await readStatus(record, directories);
  return {
    id: record.id,
    name: metadata.name,
    podId: metadata.sandboxId,
    config: metadata.config,
    imageId: metadata.imageRef,
    imageDigest: metadata.imageDigest,
    imageName: metadata.imageName,
    logPath: metadata.logPath,
    stopSignal: stopSignalNamed(metadata.stopSignal),
    processLabel: metadata.processLabel,
    snapshotter: record.snapshotter,
    cgroupsPath: spec?.linux?.cgroupsPath ?? '',
    user: {
      uid: spec?.process?.user.uid ?? 0,
      gid: spec?.process?.user.gid ?? 0,
      additionalGids: spec?.process?.user.additionalGids ?? [],
    },
    createdAtNs: status?.createdAt || (record.createdAtNs ?? nowNs()),
    resources: status?.resources,
    // Without a status it is unknown whether the container ever ran: report it as exited, so that it is not started
    // again.
    state: status
      ? fromStoredStatus(status)
      : { phase: 'exited', startedAtNs: 0n, finishedAtNs: nowNs(), exitCode: 255, reason: 'Unknown', message: '' },
  };
}

/** Returns the later of crid's extension and the CRI plugin's file: the plugin may have managed the container since. */
async function readStatus(record: ContainerRecord, directories: Directories): Promise<StoredStatus | undefined> {
  const extension = record.extensions[STATUS_EXTENSION];
  if (!extension) return readStatusFile(directories, record.id);
  const own = decodeStatus(extension, record.id);
  if (own.finishedAt !== 0n) return own;
  // The file is only a copy: an error in it must not make the container unreadable.
  return laterStatus(own, await readStatusFile(directories, record.id).catch(() => undefined));
}
