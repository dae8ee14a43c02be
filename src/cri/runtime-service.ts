import { RuntimeServiceDefinition } from '../../generated/runtime/v1/api.js';
import { attach } from '../containers/attach.js';
import { checkpointContainer } from '../containers/checkpoint-container.js';
import { containerStatus } from '../containers/container-status.js';
import { createContainer } from '../containers/create-container.js';
import type { ContainerDeps } from '../containers/container-deps.js';
import { exec } from '../containers/exec.js';
import { execSync } from '../containers/exec-sync.js';
import { listContainers } from '../containers/list-containers.js';
import { removeContainer } from '../containers/remove-container.js';
import { reopenContainerLog } from '../containers/reopen-container-log.js';
import { startContainer } from '../containers/start-container.js';
import { stopContainer, type Stop } from '../containers/stop-container.js';
import { updateContainerResources } from '../containers/update-container-resources.js';
import type { PodDeps } from '../pods/pod-deps.js';
import { listPodSandbox } from '../pods/list-pod-sandbox.js';
import { podSandboxStatus } from '../pods/pod-sandbox-status.js';
import { portForward } from '../pods/port-forward.js';
import { removePodSandbox } from '../pods/remove-pod-sandbox.js';
import { runPodSandbox } from '../pods/run-pod-sandbox.js';
import { stopPodSandbox } from '../pods/stop-pod-sandbox.js';
import { updatePodSandboxResources } from '../pods/update-pod-sandbox-resources.js';
import { runtimeConfig, type RuntimeConfigDeps } from '../runtime/runtime-config.js';
import { status, type StatusDeps } from '../runtime/status.js';
import { updateRuntimeConfig } from '../runtime/update-runtime-config.js';
import { version } from '../runtime/runtime-version.js';
import type { Streaming } from '../streaming/streaming.js';
import { containerField, listCodec, podField } from './list-codec.js';
import { information, type InformationDeps } from './information.js';
import { implement } from './service.js';

/** runtime.v1.RuntimeService: the handler of each RPC. */
export const runtimeService = (deps: {
  pods: PodDeps;
  containers: ContainerDeps;
  information: InformationDeps;
  stop: Stop;
  streaming: Streaming;
  status: StatusDeps;
  runtimeConfig: RuntimeConfigDeps;
}) =>
  implement(RuntimeServiceDefinition, {
    ...information(deps.information),
    version,
    status: status(deps.status),
    runtimeConfig: runtimeConfig(deps.runtimeConfig),
    updateRuntimeConfig: updateRuntimeConfig({ ...deps.status, log: deps.pods.log }),
    runPodSandbox: runPodSandbox(deps.pods),
    stopPodSandbox: stopPodSandbox(deps.pods),
    removePodSandbox: removePodSandbox(deps.pods),
    podSandboxStatus: podSandboxStatus(deps.pods),
    listPodSandbox: {
      handle: listPodSandbox(deps.pods),
      codec: listCodec(podField),
    },
    updatePodSandboxResources: updatePodSandboxResources(deps.pods),
    createContainer: createContainer(deps.containers),
    startContainer: startContainer(deps.containers),
    stopContainer: stopContainer(deps.containers, deps.stop),
    removeContainer: removeContainer(deps.containers),
    listContainers: {
      handle: listContainers(deps.containers),
      codec: listCodec(containerField),
    },
    containerStatus: containerStatus(deps.containers),
    updateContainerResources: updateContainerResources(deps.containers),
    checkpointContainer: checkpointContainer(deps.containers),
    reopenContainerLog: reopenContainerLog(deps.containers),
    execSync: execSync(deps.containers),
    exec: exec(deps.containers, deps.streaming),
    attach: attach(deps.containers, deps.streaming),
    portForward: portForward(deps.pods, deps.streaming),
  });
