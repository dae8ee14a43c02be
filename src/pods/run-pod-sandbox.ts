import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import {
  LinuxContainerSecurityContext,
  type PodSandboxConfig,
  type RunPodSandboxRequest,
  type RunPodSandboxResponse,
} from '../../generated/runtime/v1/api.js';
import { CriError, invalidArgument } from '../base/errors.js';
import { msToNs, nowNs } from '../base/time.js';
import { createNetns, removeNetns } from '../host/netns.js';
import { readSeccompProfile } from '../host/seccomp.js';
import type { Attachment } from '../network/network.js';
import type { Caller } from '../operation/operation.js';
import type { Steps } from '../operation/steps.js';
import type { Handler } from '../sandboxer/handler.js';
import type { CreatedSandbox } from '../sandboxer/sandboxer.js';
import { buildSandboxSpec, sandboxSeccompRequest } from '../spec/sandbox-spec.js';
import { localhostSeccompPath } from '../spec/seccomp.js';
import { specAny } from '../spec/spec-json.js';
import { resolveUser, userRequest } from '../spec/user.js';
import { validateSandboxConfig } from '../spec/validate.js';
import { canonicalJson, toGoJson } from '../state/go-json.js';
import { podFiles, usesHostNetwork } from '../state/pod-view.js';
import { CREATING_LABEL, KIND_LABEL } from '../state/rebuild.js';
import type { Pod } from '../state/records.js';
import { encodeSandboxMetadata, sandboxName, SANDBOX_METADATA_EXTENSION } from '../state/stored.js';
import type { PodDeps } from './deps.js';
import { makePodFiles, removePodFiles } from './pod-files.js';
import { networkPod } from './pod-network.js';
import { LEASE_LABEL, metadataOf, sandboxRecord } from './pod-records.js';
import { DETACH_TIMEOUT_MS } from './stop-pod-sandbox.js';

/** Longer than any kubelet waits; what is not done by then is undone. */
const LIMIT_MS = 10 * 60_000;

/**
 * Makes a pod's sandbox: its record, network namespace, network and pause container (CRI RunPodSandbox). A retry with
 * an equal config joins the run, or gets the id of the ready pod that it made. INVALID_ARGUMENT names a bad field;
 * ALREADY_EXISTS when another pod has the name.
 */
export const runPodSandbox =
  (deps: PodDeps) =>
  async (request: RunPodSandboxRequest, caller: Caller): Promise<RunPodSandboxResponse> => {
    const config = request.config;
    if (!config) throw invalidArgument('config', 'must be given');
    validateSandboxConfig(config);
    const metadata = config.metadata!;
    const handler = deps.handlers.get(request.runtime_handler);
    const name = sandboxName(metadata);
    const fingerprint = canonicalJson(toGoJson({ config, runtime_handler: request.runtime_handler }));
    const failed: { pod?: Pod } = {};

    const id = await deps.operations.run({
      kind: 'run pod sandbox',
      subject: `${metadata.namespace}/${metadata.name}`,
      key: `pod-name:${name}`,
      fingerprint,
      caller,
      limitMs: LIMIT_MS,
      work: async (steps) => {
        const taken = deps.state.pods.byName(name);
        if (taken) return sameOrTaken(taken, fingerprint);
        const pod = newPod(deps, name, config, request.runtime_handler, handler);
        failed.pod = pod;
        const ready = await run(deps, steps, pod, handler);
        deps.state.pods.put(ready);
        deps.exits.watch(ready.id);
        return ready.id;
      },
      // What could not be undone stays visible as a pod that is not ready, so that whoever owns it can remove it.
      onFailed: (_error, failedUndo) => {
        if (failed.pod && failedUndo.length > 0)
          deps.state.pods.put({ ...failed.pod, state: { phase: 'not-ready', released: false, failedDetaches: 0 } });
      },
    });
    return { pod_sandbox_id: id };
  };

function sameOrTaken(taken: Pod, fingerprint: string): string {
  const same = canonicalJson(toGoJson({ config: taken.config, runtime_handler: taken.runtimeHandler })) === fingerprint;
  if (same && taken.state.phase === 'ready') return taken.id;
  const why = same ? 'which is not ready' : 'which has another config';
  throw new CriError('ALREADY_EXISTS', `pod sandbox name "${taken.name}" is taken by "${taken.id}", ${why}`);
}

function newPod(deps: PodDeps, name: string, config: PodSandboxConfig, handlerName: string, handler: Handler): Pod {
  return {
    id: randomBytes(32).toString('hex'),
    name,
    config,
    runtimeHandler: handlerName,
    runtime: handler.runtime,
    snapshotter: handler.snapshotter,
    createdAtNs: nowNs(),
    netnsPath: usesHostNetwork(config) ? '' : join(deps.directories.netns, `cni-${randomUUID()}`),
    network: undefined,
    processLabel: '',
    image: deps.pauseImage,
    state: { phase: 'not-ready', released: false, failedDetaches: 0 },
  };
}

/** All steps of one run. The network's ADD and the pause container's create do not depend on each other. */
async function run(deps: PodDeps, steps: Steps, planned: Pod, handler: Handler): Promise<Pod> {
  await record(deps, steps, planned);
  if (planned.netnsPath !== '') {
    await steps.step(
      'create network namespace',
      () => createNetns(planned.netnsPath),
      () => removeNetns(planned.netnsPath),
    );
  }
  const [network, created] = await Promise.all([
    planned.netnsPath === '' ? undefined : addNetwork(steps, planned, handler),
    createSandbox(deps, steps, planned, handler),
  ]);
  const pod: Pod = {
    ...planned,
    createdAtNs: msToNs(created.createdAtMs),
    network: network && { ips: network.ips, result: network.result },
    processLabel: created.processLabel,
    state: { phase: 'ready', pid: created.pid },
  };
  await Promise.all([handler.sandboxer.start(steps, pod.id), complete(deps, steps, pod)]);
  return pod;
}

/** The record comes first, so that a restart finds whatever follows; the lease holds what nothing refers to yet. */
async function record(deps: PodDeps, steps: Steps, pod: Pod): Promise<void> {
  const { sandboxes, leases } = deps.containerd;
  await Promise.all([
    steps.step(
      'record sandbox',
      (signal) => sandboxes.create(sandboxRecord(pod, { [CREATING_LABEL]: 'true' }), { signal }),
      () => sandboxes.delete(pod.id),
    ),
    steps.step(
      'create lease',
      (signal) => leases.create(pod.id, { [LEASE_LABEL]: 'true' }, { signal }),
      () => leases.delete(pod.id),
    ),
  ]);
}

const addNetwork = (steps: Steps, pod: Pod, { network }: Handler): Promise<Attachment> =>
  steps.step(
    'add network',
    (signal) => network.attach(networkPod(pod), signal),
    () => network.detach(networkPod(pod), AbortSignal.timeout(DETACH_TIMEOUT_MS)),
    { waitingOn: () => network.waitingOn(pod.id), timeoutMs: LIMIT_MS },
  );

async function createSandbox(
  deps: PodDeps,
  steps: Steps,
  pod: Pod,
  handler: Handler,
): Promise<CreatedSandbox & { processLabel: string }> {
  const { directories } = deps;
  const [image] = await Promise.all([
    steps.step(
      'ensure pause image',
      (signal) => deps.ensureImage(pod.image, { snapshotter: pod.snapshotter, signal }),
      undefined,
      { timeoutMs: LIMIT_MS, waitingOn: () => `image ${pod.image}` },
    ),
    steps.step(
      'make pod files',
      () => makePodFiles(directories, pod.id, pod.config),
      () => removePodFiles(directories, pod.id),
    ),
  ]);
  const files = podFiles(directories, pod.id, pod.config);
  const context = pod.config.linux?.security_context;
  const user = userRequest(
    context && LinuxContainerSecurityContext.fromPartial({ ...context, run_as_username: '' }),
    image.config.config?.User ?? '',
  );
  const seccompProfile = await readSeccompProfile(
    localhostSeccompPath(sandboxSeccompRequest(context, deps.host, deps.specOptions)),
    'config.linux.security_context.seccomp.localhost_ref',
  );
  const spec = buildSandboxSpec({
    seccompProfile,
    id: pod.id,
    pod: pod.config,
    image: image.config,
    imageName: pod.image,
    netnsPath: pod.netnsPath || undefined,
    hostname: files.hostname,
    shmPath: files.shmPath,
    resolvConfPath: files.resolvConfPath,
    // A pause image has no passwd: its user, like the pod's, is a number.
    user: resolveUser({ ...user, passwd: undefined, group: undefined }),
    handler: handler.spec,
    options: deps.specOptions,
    host: deps.host,
  });
  const created = await handler.sandboxer.create(steps, {
    id: pod.id,
    runtime: pod.runtime,
    runtimePath: handler.runtimePath,
    snapshotter: pod.snapshotter,
    labels: { ...pod.config.labels, [KIND_LABEL]: 'sandbox' },
    image: { chainId: image.chainId, name: pod.image },
    spec: specAny(spec),
    metadata: encodeSandboxMetadata(metadataOf(pod)),
    lease: pod.id,
  });
  return { ...created, processLabel: spec.process?.selinuxLabel ?? '' };
}

/** Writes down what the kubelet compares after a restart, and that the pod is whole. */
const complete = (deps: PodDeps, steps: Steps, pod: Pod): Promise<void> =>
  steps.step('record network', async (signal) => {
    const extension = `extensions.${SANDBOX_METADATA_EXTENSION}`;
    const metadata = encodeSandboxMetadata(metadataOf(pod));
    const extensions = { [SANDBOX_METADATA_EXTENSION]: metadata };
    await Promise.all([
      deps.containerd.containers.update({ id: pod.id, extensions }, [extension], { signal }),
      deps.containerd.sandboxes.update(sandboxRecord(pod, {}), ['labels', 'extensions.metadata'], { signal }),
    ]);
  });
