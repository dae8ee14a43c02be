import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Metadata, createChannel, createClientFactory } from 'nice-grpc';
import { ContentDefinition } from '../../../generated/containerd/services/content/v1/content.js';
import { ImageSpec, PullImageRequest, type AuthConfig } from '../../../generated/runtime/v1/api.js';
import { defaultConfig, type Config } from '../../../src/config/schema.js';
import type { Containerd } from '../../../src/containerd/containerd.js';
import type { ImageDeps } from '../../../src/images/image-deps.js';
import { imageStatus } from '../../../src/images/image-status.js';
import { pullImage } from '../../../src/images/pull-image.js';
import { removeImage } from '../../../src/images/remove-image.js';
import { createProfileStore } from '../../../src/images/profiles/profile-store.js';
import { createPullWatch } from '../../../src/images/pull-watch.js';
import { createUnpacking } from '../../../src/images/unpacking.js';
import { createOperations } from '../../../src/operation/operation.js';
import type { Handler } from '../../../src/sandboxer/handler.js';
import { createImageCache } from '../../../src/state/image-cache.js';
import { createState } from '../../../src/state/state.js';
import { connect, empty, log, testAddress } from '../containerd/lab.js';

/** The image operations over a real containerd, in a separate namespace. */
export interface Images {
  readonly deps: ImageDeps;
  readonly containerd: Containerd;
  /** Pulls an image and returns its id. */
  pull(
    image: string,
    options?: { auth?: Partial<AuthConfig>; handler?: string; signal?: AbortSignal },
  ): Promise<string>;
  status(image: string, options?: { verbose?: boolean; handler?: string }): ReturnType<ReturnType<typeof imageStatus>>;
  remove(image: string): Promise<unknown>;
  /** Asserts that the namespace has only the given image records, and that no pull has left anything. */
  assertOnly(records: readonly string[]): Promise<void>;
  /** Removes everything from the namespace. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

export function startImages(namespace: string, configure: (config: Config) => void = () => undefined): Images {
  const config = defaultConfig();
  config.root = '/nowhere';
  config.images.registry.config_path = '';
  configure(config);
  const containerd = connect(namespace);
  const images = createImageCache({ containerd, config, log });
  const handler = (name: string): Handler => ({ snapshotter: name || config.images.snapshotter }) as Handler;
  const handlers = { get: handler, of: () => handler('') };
  const operations = createOperations({ log });
  const unpacking = createUnpacking({ containerd, config, operations, log });
  const state = createState(containerd);
  const profiles = createProfileStore(containerd);
  const watchPull = createPullWatch();
  const deps: ImageDeps = {
    log,
    config,
    containerd,
    images,
    handlers,
    operations,
    state,
    unpacking,
    profiles,
    watchPull,
  };
  const request = (image: string, handlerName = '') => ImageSpec.fromPartial({ image, runtime_handler: handlerName });
  return {
    deps,
    containerd,
    async pull(image, { auth, handler: name, signal } = {}) {
      const fields = { image: request(image, name), ...(auth ? { auth } : {}) };
      return (await pullImage(deps)(PullImageRequest.fromPartial(fields), { signal })).image_ref;
    },
    status: (image, { verbose = false, handler: name } = {}) =>
      imageStatus(deps)({ image: request(image, name), verbose }),
    remove: (image) => removeImage(deps)({ image: request(image) }, {}),
    assertOnly: (records) => assertOnly(containerd, namespace, records),
    async clear() {
      await empty(containerd);
      await images.rebuild();
    },
    async close() {
      await empty(containerd);
      containerd.close();
    },
  };
}

async function assertOnly(containerd: Containerd, namespace: string, records: readonly string[]): Promise<void> {
  const names = (await containerd.images.list([])).map(({ name }) => name);
  const leases = await containerd.leases.list([]);
  assert.deepEqual({ names: names.sort(), leases }, { names: [...records].sort(), leases: [] });
  await containerd.leases.create('collect', {});
  await containerd.leases.delete('collect', { sync: true });
  const ingests = await ingestsOf(namespace);
  if (records.length > 0) return assert.deepEqual(ingests, []);
  const snapshots = await containerd.snapshots('overlayfs').list([]);
  assert.deepEqual({ snapshots, ingests }, { snapshots: [], ingests: [] });
}

/** Returns the unfinished writes in the content store, such as half a layer after a failed pull. */
async function ingestsOf(namespace: string): Promise<string[]> {
  const channel = createChannel(`unix://${testAddress()}`);
  try {
    const client = createClientFactory().create(ContentDefinition, channel);
    const metadata = Metadata({ 'containerd-namespace': namespace });
    return (await client.listStatuses({ filters: [] }, { metadata })).statuses.map(({ ref }) => ref);
  } finally {
    channel.close();
  }
}

/** Creates a `certs.d` folder with one registry. */
export async function certsDir(
  registry: string,
  hostsToml: string,
): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'crid-certs-'));
  await mkdir(join(path, registry));
  await writeFile(join(path, registry, 'hosts.toml'), hostsToml);
  return { path, remove: () => rm(path, { recursive: true }) };
}
