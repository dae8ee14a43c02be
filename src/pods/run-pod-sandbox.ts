import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { PodSandboxConfig, RunPodSandboxRequest, RunPodSandboxResponse } from '../../generated/runtime/v1/api.js';
import { CriError, invalidArgument, isCode } from '../base/errors.js';
import { nowNs } from '../host/syscall/clock.js';
import type { Attachment } from '../network/network.js';
import type { Caller } from '../operation/operation.js';
import type { Steps } from '../operation/steps.js';
import type { Handler } from '../sandboxer/handler.js';
import { checkCgroupDriver } from '../spec/cgroup-path.js';
import { hasNetworkSysctls } from '../spec/sysctls.js';
import { validateSandboxConfig } from '../spec/validate/validate.js';
import { checkConfigSize } from '../state/config-size.js';
import { canonicalJson, toGoJson } from '../state/go-json.js';
import { isPinned, namesController, PAUSE, PINNED, podUserNamespace, usesHostNetwork } from '../state/pod-view.js';
import { CREATING_LABEL, LEASE_LABEL } from '../state/labels.js';
import type { Pod } from '../state/records.js';
import { encodeSandboxMetadata, sandboxName, SANDBOX_METADATA_EXTENSION } from '../state/stored.js';
import type { PodDeps } from './pod-deps.js';
import { createSandbox } from './create-sandbox.js';
import { networkPod } from './pod-network.js';
import { metadataOf, sandboxRecord } from './pod-records.js';
import { DETACH_TIMEOUT_MS } from './stop-pod-sandbox.js';
import { watchSandbox } from './watch-sandbox.js';

/** Longer than any kubelet waits; a run that is not done by then is undone. */
const LIMIT_MS = 10 * 60_000;
/** Time for the running plugin to finish, and for the plugins before it to be undone. */
const NETWORK_WIND_DOWN_MS = 15_000;

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
    const handler = deps.handlers.forPod(request.runtime_handler, config);
    checkUserNamespace(config, handler);
    checkCgroupDriver(config.linux?.cgroup_parent ?? '', handler.name, handler.spec.cgroupDriver);
    const name = sandboxName(metadata);
    const fingerprint = canonicalJson(toGoJson({ config, runtime_handler: request.runtime_handler }));
    checkConfigSize(config, fingerprint);
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
        const unreadable = deps.state.claims.byName(name);
        if (unreadable) throw takenByUnreadable(name, unreadable.id);
        const pod = newPod(deps, name, config, request.runtime_handler, handler);
        failed.pod = pod;
        deps.state.starting.add(pod.id);
        const ready = await run(deps, steps, pod, handler);
        deps.state.pods.put(ready);
        deps.state.starting.delete(pod.id);
        watchSandbox(deps, ready);
        return ready.id;
      },
      // A pod that could not be undone stays listed as not ready, so that the kubelet can remove it.
      onFailed: (_error, failedUndo) => {
        if (!failed.pod) return;
        if (failedUndo.length > 0)
          deps.state.pods.put({
            ...failed.pod,
            halfMade: true,
            state: { phase: 'not-ready', released: false, failedDetaches: 0 },
          });
        deps.state.starting.delete(failed.pod.id);
      },
    });
    return { pod_sandbox_id: id };
  };

/** Throws FAILED_PRECONDITION when the handler cannot do user namespaces. A sandbox controller checks that itself. */
function checkUserNamespace(config: PodSandboxConfig, handler: Handler): void {
  if (handler.userNamespaces || namesController(handler.sandboxer.name) || !podUserNamespace(config)) return;
  throw new CriError(
    'FAILED_PRECONDITION',
    `config.linux.security_context.namespace_options.userns_options: runtime handler "${handler.name}" or its snapshotter "${handler.snapshotter}" cannot do user namespaces on this host`,
  );
}

function sameOrTaken(taken: Pod, fingerprint: string): string {
  const same = canonicalJson(toGoJson({ config: taken.config, runtime_handler: taken.runtimeHandler })) === fingerprint;
  if (same && taken.state.phase === 'ready') return taken.id;
  const why = same ? 'which is not ready' : 'which has another config';
  throw new CriError('ALREADY_EXISTS', `pod sandbox name "${taken.name}" is taken by "${taken.id}", ${why}`);
}

const takenByUnreadable = (name: string, id: string): CriError =>
  new CriError('ALREADY_EXISTS', `pod sandbox name "${name}" is taken by "${id}", whose record cannot be read`);

function newPod(
  deps: Pick<PodDeps, 'directories' | 'pauseImage' | 'state'>,
  name: string,
  config: PodSandboxConfig,
  handlerName: string,
  handler: Handler,
): Pod {
  return {
    id: deps.state.newIds.make(),
    name,
    config,
    runtimeHandler: handlerName,
    runtime: handler.runtime,
    snapshotter: handler.snapshotter,
    createdAtNs: nowNs(),
    netnsPath: usesHostNetwork(config) ? '' : join(deps.directories.netns, `cni-${randomUUID()}`),
    network: undefined,
    processLabel: '',
    cgroupsPath: '',
    image: handler.sandboxer.name === PINNED ? '' : deps.pauseImage,
    sandboxer: handler.sandboxer.name === PAUSE ? undefined : handler.sandboxer.name,
    state: { phase: 'not-ready', released: false, failedDetaches: 0 },
  };
}

/** Runs all steps of one run; returns the ready pod. */
async function run(deps: PodDeps, steps: Steps, given: Pod, handler: Handler): Promise<Pod> {
  const planned = { ...given, createdAtNs: await record(deps, steps, given) };
  if (planned.netnsPath !== '' || isPinned(planned)) {
    await steps.step(
      'create namespaces',
      () => deps.namespaces.create(planned),
      () => deps.namespaces.remove(planned),
    );
  }
  const adding = planned.netnsPath === '' ? undefined : addNetwork(steps, planned, handler);
  const createAfter = createNeedsNetwork(planned, handler) ? adding : undefined;
  const [network, created] = await Promise.all([adding, createSandbox(deps, steps, planned, handler, createAfter)]);
  const pod: Pod = {
    ...planned,
    createdAtNs: created.createdAtNs ?? planned.createdAtNs,
    network: network && { ips: network.ips, result: network.result },
    processLabel: created.processLabel,
    cgroupsPath: created.cgroupsPath,
  };
  const start = handler.sandboxer.start(steps, pod.id, created).then(async (started) => {
    await deps.nri?.run(steps, { ...pod, sandboxSpec: started.spec }, started.pid);
    return started;
  });
  // Only a pod with a pause container, which no plugin may refuse, can be completed during its start.
  const [{ pid, endpoint, spec }] = await (planned.sandboxer === undefined && !deps.nri?.wantsRun()
    ? Promise.all([start, complete(deps, steps, pod)])
    : start.then(async (started) => {
        await complete(deps, steps, { ...pod, sandboxSpec: started.spec });
        return [started] as const;
      }));
  return { ...pod, endpoint, sandboxSpec: spec, state: { phase: 'ready', pid } };
}

/**
 * Whether the network must be complete before the sandbox is created, which sets the sysctls. The sysctls of an
 * interface need the interface, and the pod's value must win over that of a CNI plugin for the same sysctl. A runtime
 * that is not of runc's kind, such as a virtual machine, reads the interfaces of the namespace in create.
 */
const createNeedsNetwork = ({ config }: Pod, handler: Handler): boolean =>
  namesController(handler.sandboxer.name) ||
  handler.ociRuntime === undefined ||
  hasNetworkSysctls(config.linux?.sysctls ?? {});

/**
 * Runs before all other steps: a restart finds whatever follows by the record. The lease keeps resources that nothing
 * refers to yet. Returns the time of the record, which a restarted crid shows too.
 */
async function record(deps: Pick<PodDeps, 'containerd'>, steps: Steps, pod: Pod): Promise<bigint> {
  const { sandboxes, leases } = deps.containerd;
  const [{ createdAtNs = pod.createdAtNs }] = await Promise.all([
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
  return createdAtNs;
}

const addNetwork = (steps: Steps, pod: Pod, { network }: Handler): Promise<Attachment> =>
  steps.step(
    'add network',
    (signal) => network.attach(networkPod(pod), signal),
    () => network.detach(networkPod(pod), AbortSignal.timeout(DETACH_TIMEOUT_MS)),
    { waitingOn: () => network.waitingOn(pod.id), timeoutMs: LIMIT_MS, windDownMs: NETWORK_WIND_DOWN_MS },
  );

/**
 * Records the network, which the kubelet compares after a restart, and only then that the pod is complete: a kill in
 * between must not leave a ready pod without its address.
 */
async function complete(deps: Pick<PodDeps, 'containerd'>, steps: Steps, pod: Pod): Promise<void> {
  if (!isPinned(pod)) await recordInContainer(deps, steps, pod);
  const fields = ['labels', 'extensions.metadata', ...(pod.sandboxSpec ? ['spec'] : [])];
  await steps.step('record completion', (signal) =>
    deps.containerd.sandboxes.update(sandboxRecord(pod, {}), fields, { signal }),
  );
}

const recordInContainer = (deps: Pick<PodDeps, 'containerd'>, steps: Steps, pod: Pod): Promise<void> =>
  steps.step('record network', async (signal) => {
    const extensions = { [SANDBOX_METADATA_EXTENSION]: encodeSandboxMetadata(metadataOf(pod)) };
    await deps.containerd.containers
      .update({ id: pod.id, extensions }, [`extensions.${SANDBOX_METADATA_EXTENSION}`], { signal })
      .catch((thrown: unknown) => {
        // A sandbox controller may have made no container.
        if (pod.sandboxer === undefined || !isCode(thrown, 'NOT_FOUND')) throw thrown;
      });
  });
