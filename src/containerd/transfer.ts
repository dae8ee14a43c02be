import { randomUUID } from 'node:crypto';
import { StreamingDefinition } from '../../generated/containerd/services/streaming/v1/streaming.js';
import { TransferDefinition } from '../../generated/containerd/services/transfer/v1/transfer.js';
import { ImageStore } from '../../generated/containerd/types/transfer/imagestore.js';
import { Progress } from '../../generated/containerd/types/transfer/progress.js';
import { OCIRegistry } from '../../generated/containerd/types/transfer/registry.js';
import { CriError } from '../base/errors.js';
import { logOf, type Logger } from '../base/log.js';
import { wallMs, withLimit } from '../base/time.js';
import { anyOf, wireAny } from './any.js';
import { withoutLimit, type ClientOf, type ServiceClient } from './connection.js';
import type { Any, CallOptions, Descriptor, Leases, PullRequest, Transfer } from './containerd.js';
import { hostPlatform } from './platform.js';
import { pullError } from './pull-errors.js';
import { answerAuth } from './registry-auth.js';
import { openStream, type WireStream } from './wire-stream.js';

/** Time after which containerd deletes the lease of a pull that crid has not deleted. */
const LEASE_EXPIRY_MS = 24 * 60 * 60 * 1000;
const CLEANUP_TIMEOUT_MS = 10_000;
const LAST_PROGRESS_TIMEOUT_MS = 1_000;

export function createTransfer(clientOf: ClientOf, leases: Leases, log: Logger): Transfer {
  const client = clientOf(TransferDefinition);
  const streaming = clientOf(StreamingDefinition);
  return {
    pull: async (request, options) => {
      const secrets = new Set<string>();
      try {
        return await withLease(leases, request, options, log, (lease) =>
          pullUnder(lease, { client, streaming, log }, request, options, secrets),
        );
      } catch (thrown) {
        throw pullError(thrown, request.reference, secrets);
      }
    },
  };
}

interface Clients {
  readonly client: ServiceClient<TransferDefinition>;
  readonly streaming: ServiceClient<StreamingDefinition>;
  readonly log: Logger;
}

async function pullUnder(
  lease: string,
  { client, streaming, log }: Clients,
  request: PullRequest,
  options: CallOptions | undefined,
  secrets: Set<string>,
): Promise<Descriptor | undefined> {
  const id = randomUUID();
  const open: WireStream[] = [];
  const stream = async (name: string): Promise<WireStream> => {
    const opened = await openStream(streaming, name, lease, options?.signal);
    open.push(opened);
    return opened;
  };
  try {
    const progress = await stream(`progress-${id}`);
    const reading = readProgress(progress, request, log);
    if (request.credentials) {
      const auth = await stream(`auth-${id}`);
      answerAuth(auth, request.credentials, secrets, logOf(log)).catch((thrown: unknown) => ignoreEnd(thrown));
    }
    await client.transfer(
      {
        source: wireAny(source(request, request.credentials ? `auth-${id}` : '')),
        destination: wireAny(destination(request)),
        options: { progress_stream: `progress-${id}` },
      },
      { ...withoutLimit({ ...options, lease }), subject: request.reference },
    );
    return await withLimit(reading, LAST_PROGRESS_TIMEOUT_MS, () => undefined);
  } finally {
    for (const opened of open) opened.close();
  }
}

function source(request: PullRequest, authStream: string): Any {
  const registry = OCIRegistry.fromPartial({
    reference: request.reference,
    resolver: { auth_stream: authStream, headers: request.headers, host_dir: request.hostDir },
  });
  return anyOf('containerd.types.transfer.OCIRegistry', OCIRegistry.encode(registry).finish());
}

function destination(request: PullRequest): Any {
  const platform = hostPlatform();
  const store = ImageStore.fromPartial({
    name: recordOf(request),
    labels: request.labels,
    platforms: [platform],
    unpacks: request.snapshotter === undefined ? [] : [{ platform, snapshotter: request.snapshotter }],
  });
  return anyOf('containerd.types.transfer.ImageStore', ImageStore.encode(store).finish());
}

const recordOf = ({ record, reference }: PullRequest): string => record ?? reference;

/** Returns the target of the record that the pull has saved. */
async function readProgress(stream: WireStream, request: PullRequest, log: Logger): Promise<Descriptor | undefined> {
  let saved: Descriptor | undefined;
  try {
    for await (const message of stream.messages) {
      if (message.type_url !== 'containerd.types.transfer.Progress') continue;
      const { event, name, parents, progress, total, desc } = Progress.decode(message.value);
      if (event === 'saved' && name === recordOf(request)) saved = desc;
      request.onProgress({ event, name, parents, progress, total });
    }
  } catch (thrown) {
    ignoreEnd(thrown);
    logOf(log).debug({ err: CriError.from(thrown) }, 'progress of a pull ended early');
  }
  return saved;
}

/**
 * Runs a pull with credentials under a lease: containerd removes an auth stream only with its lease. A pull without a
 * lease gets one from containerd, which protects the fetched content until its image record exists.
 */
async function withLease<T>(
  leases: Leases,
  { credentials }: PullRequest,
  options: CallOptions | undefined,
  log: Logger,
  work: (lease: string) => Promise<T>,
): Promise<T> {
  if (options?.lease || !credentials) return work(options?.lease ?? '');
  const id = `crid-pull-${randomUUID()}`;
  const expire = new Date(wallMs() + LEASE_EXPIRY_MS).toISOString();
  await leases.create(id, { 'containerd.io/gc.expire': expire }, { signal: options?.signal });
  try {
    return await work(id);
  } finally {
    await leases.delete(id, { timeoutMs: CLEANUP_TIMEOUT_MS }).catch((thrown: unknown) => {
      logOf(log).warn({ err: CriError.from(thrown), lease: id }, 'the lease of a pull stays until it expires');
    });
  }
}

/** Ignores the error with which a stream ends when crid closes it. */
const ignoreEnd = (_thrown: unknown): void => undefined;
