import type { LinuxResources } from '../../generated/nri/v1alpha1/api.js';
import type {
  UpdateContainerResourcesRequest,
  UpdateContainerResourcesResponse,
} from '../../generated/runtime/v1/api.js';
import { CriError, invalidArgument, isCode } from '../base/errors.js';
import type { Any, ContainerRecord } from '../containerd/containerd.js';
import { checkRecordSize } from '../containerd/record-size.js';
import { applyResources } from '../nri/adjust/apply-resources.js';
import { checkNriUpdate, type ResourceFacts } from '../nri/adjust/check-resources.js';
import type { Caller } from '../operation/operation.js';
import type { Steps } from '../operation/steps.js';
import type { OciResources, OciSpec } from '../spec/oci.js';
import { restoringResources, shownResources, withResources } from '../spec/resources.js';
import { parseSpec, resourcesAny, specAny } from '../spec/spec-json.js';
import { NO_FEATURES } from '../spec/types.js';
import { checkResources } from '../spec/validate/validate-resources.js';
import type { Container } from '../state/records.js';
import { toStoredStatus } from '../state/status-conversion.js';
import { encodeStatus, STATUS_EXTENSION } from '../state/stored.js';
import type { ContainerDeps } from './container-deps.js';

const LIMIT_MS = 2 * 60_000;

/**
 * Changes the resources of a container (CRI UpdateContainerResources): in its spec, for a later start, and in the
 * cgroup of a running container; 0 and "" leave a value as it is. Never changes oom_score_adj: a running process cannot
 * be given another. NOT_FOUND: no such container; INVALID_ARGUMENT names the field. When the runtime refuses, nothing
 * has changed.
 */
export const updateContainerResources =
  (deps: UpdateDeps & Pick<ContainerDeps, 'nri'>) =>
  async (request: UpdateContainerResourcesRequest, caller: Caller): Promise<UpdateContainerResourcesResponse> => {
    const { id } = deps.state.containers.get(request.container_id, 'container_id');
    if (request.windows) throw invalidArgument('windows', 'is not supported on Linux');
    checkResources(request.linux, 'linux');
    const { linux } = request;
    if (!linux) return {};
    await runUpdate(deps, id, caller, async (steps) => {
      const container = deps.state.containers.get(id, 'container_id');
      const facts = factsOf(deps, container);
      const set = await deps.nri?.update(steps, container, { resources: linux, facts });
      await update(deps, steps, id, (current) => {
        const resources = withResources(current, linux, deps.host, deps.specOptions);
        return set ? applyResources(resources, set, facts) : resources;
      });
      await deps.nri?.updated(steps, deps.state.containers.get(id, 'container_id'));
    });
    return {};
  };

type UpdateDeps = Pick<ContainerDeps, 'containerd' | 'handlers' | 'host' | 'operations' | 'specOptions' | 'state'>;

/**
 * Changes resources of a container that an NRI plugin names in its answer about another one. Succeeds when there is no
 * such container. INVALID_ARGUMENT names a value that this node does not have.
 */
export const updateByPlugin =
  (deps: UpdateDeps) =>
  async (id: string, resources: LinuxResources, caller: Caller): Promise<void> => {
    const container = deps.state.containers.byId(id);
    if (!container) return;
    const facts = factsOf(deps, container);
    checkNriUpdate(resources, 'update.linux.resources', facts);
    await runUpdate(deps, id, caller, (steps) =>
      update(deps, steps, id, (current) => applyResources(current, resources, facts)),
    );
  };

const runUpdate = (
  { operations }: Pick<ContainerDeps, 'operations'>,
  id: string,
  caller: Caller,
  work: (steps: Steps) => Promise<void>,
): Promise<void> =>
  operations.run({
    kind: 'update container resources',
    subject: id,
    key: `container:${id}`,
    caller,
    limitMs: LIMIT_MS,
    work,
  });

/** Returns the facts of the runtime and the node on which it depends whether a plugin can update the container. */
const factsOf = ({ handlers, host, specOptions, state }: UpdateDeps, { podId }: Container): ResourceFacts => {
  const pod = state.pods.byId(podId);
  const handler = pod ? handlers.of(pod).spec : { runtimeFeatures: NO_FEATURES };
  return { host, options: specOptions, handler };
};

async function update(
  deps: Pick<ContainerDeps, 'containerd' | 'state'>,
  steps: Steps,
  id: string,
  change: (current: OciResources) => OciResources,
): Promise<void> {
  const record = await steps.step('read spec', (signal) => deps.containerd.containers.get(id, { signal }));
  const before = specOf(record);
  const resources = change(before.linux.resources);
  const after: OciSpec = { ...before, linux: { ...before.linux, resources } };
  const shown = { linux: shownResources(resources, after.process.oomScoreAdj), windows: undefined };
  checkRoom(record, specAny(after), { ...deps.state.containers.get(id, 'container_id'), resources: shown });
  await steps.step(
    'record spec',
    (signal) => deps.containerd.containers.update({ id, spec: specAny(after) }, ['spec'], { signal }),
    async () => void (await deps.containerd.containers.update({ id, spec: record.spec }, ['spec'])),
  );
  if (deps.state.containers.get(id, 'container_id').state.phase === 'running') {
    await steps.step(
      'update task',
      (signal) => updateTask(deps, id, resources, signal),
      // A runtime may have written some of the files of a cgroup before it failed.
      () =>
        updateTask(deps, id, restoringResources(before.linux.resources, resources), undefined).catch(() => undefined),
    );
  }
  await steps.step('record resources', () =>
    deps.state.updateContainer(id, (container) => ({ ...container, resources: shown })),
  );
}

/** Checks the size of the record: the entries of `unified` accumulate over updates, in the spec and in the status. */
function checkRoom(record: ContainerRecord, spec: Any, container: Container): void {
  const extensions = { ...record.extensions, [STATUS_EXTENSION]: encodeStatus(toStoredStatus(container)) };
  checkRecordSize('container', { ...record, spec, extensions });
}

/**
 * Updates the running task. A task that has ended meanwhile needs no update: the spec has the values for the next one.
 */
async function updateTask(
  deps: Pick<ContainerDeps, 'containerd'>,
  id: string,
  resources: OciSpec['linux']['resources'],
  signal: AbortSignal | undefined,
): Promise<void> {
  // An update has no device rules: a runtime would set them again while the process uses the devices.
  const { devices: _devices, ...limits } = resources;
  try {
    await deps.containerd.tasks.update({ containerId: id, resources: resourcesAny(limits) }, { signal });
  } catch (thrown) {
    // FAILED_PRECONDITION: the process has ended, and its task is not deleted yet.
    const hasEnded = isCode(thrown, 'NOT_FOUND') || isCode(thrown, 'FAILED_PRECONDITION') || isNotRunning(thrown);
    if (!hasEnded) throw thrown;
  }
}

/** The OCI runtime found no process before the shim saw its exit. runc and crun have only this text for it, no code. */
const isNotRunning = (thrown: unknown): boolean =>
  isCode(thrown, 'UNKNOWN') && /container not running|is not running/.test(CriError.from(thrown).message);

function specOf(record: ContainerRecord): OciSpec {
  if (!record.spec) throw new CriError('INTERNAL', `container "${record.id}" has no spec`);
  return parseSpec(record.spec);
}
