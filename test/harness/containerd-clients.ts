import { createClientFactory, Metadata } from 'nice-grpc';
import {
  ContainersDefinition,
  type ContainersClient,
} from '../../generated/containerd/services/containers/v1/containers.js';
import { ImagesDefinition, type ImagesClient } from '../../generated/containerd/services/images/v1/images.js';
import { StoreDefinition, type StoreClient } from '../../generated/containerd/services/sandbox/v1/sandbox.js';
import type { PodSandboxConfig } from '../../generated/runtime/v1/api.js';
import { encodeSandboxMetadata, sandboxName } from '../../src/state/stored.js';
import { limited, openChannel } from './cri-client.js';

/** Clients of containerd's metadata services, without any of crid's limits. */
export interface ContainerdClients {
  readonly sandboxes: StoreClient;
  readonly containers: ContainersClient;
  readonly images: ImagesClient;
  close(): void;
}

export function containerdClients(socket: string, namespace: string): ContainerdClients {
  const channel = openChannel(socket);
  const clients = createClientFactory().use(limited);
  const options = { '*': { metadata: Metadata({ 'containerd-namespace': namespace }) } };
  return {
    sandboxes: clients.create(StoreDefinition, channel, options),
    containers: clients.create(ContainersDefinition, channel, options),
    images: clients.create(ImagesDefinition, channel, options),
    close: () => channel.close(),
  };
}

/** Creates the sandbox record of a pod on the host's network, and nothing else of the pod. */
export async function recordSandbox(
  { sandboxes }: ContainerdClients,
  id: string,
  config: PodSandboxConfig,
  labels: Record<string, string> = {},
): Promise<void> {
  const name = sandboxName(config.metadata!);
  const metadata = encodeSandboxMetadata({
    ...{ id, name, config, runtimeHandler: '', processLabel: '' },
    ...{ netnsPath: '', ip: '', additionalIps: [], cniResult: undefined },
  });
  const extensions = { metadata: { type_url: metadata.type_url, value: Buffer.from(metadata.value) } };
  const runtime = { name: 'io.containerd.runc.v2' };
  const sandbox = { sandbox_id: id, sandboxer: 'podsandbox', runtime, extensions, labels: { name, ...labels } };
  await sandboxes.create({ sandbox });
}
