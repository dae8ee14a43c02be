import type { Container, PluginInstance } from '../../generated/nri/v1alpha1/api.js';
import { CriError } from '../base/errors.js';
import { logOf } from '../base/log.js';
import type { OciSpec } from '../spec/oci.js';
import type { Pod } from '../state/records.js';
import { changesBetween, type Changes } from './adjust/audit.js';
import { checkAdjustment, type AdjustFacts } from './adjust/check-adjustment.js';
import { containerMessage, type ContainerFacts } from './adjust/container-message.js';
import { mergeCreate, type CreateMerge, type CreateResult } from './adjust/merge-create.js';
import { pluginName, type CallTime } from './port.js';
import { logFailure, namespaceOf, NEVER, NO_LIMIT, podFor, type HookDeps } from './tell.js';

/** A container whose spec is complete and not stored yet. */
export interface NewContainer {
  readonly container: ContainerFacts;
  readonly pod: Pod;
  readonly spec: OciSpec;
  readonly facts: AdjustFacts;
}

export interface Audited {
  /** The changes of each plugin. */
  readonly audit: readonly Changes[];
}

/** Asks the plugins to adjust a new container, and then those that validate. */
export async function askToAdjust(
  { plugins, validate, ...deps }: HookDeps,
  { container, pod, spec, facts }: NewContainer,
  time: CallTime,
): Promise<CreateResult & Audited> {
  const place = { podId: pod.id, namespace: namespaceOf(pod), time, since: plugins.snapshot() };
  const request = { pod: await podFor(deps, pod, time.signal), container: containerMessage(container, spec) };
  const merge = mergeCreate(request);
  const consulted: PluginInstance[] = plugins.others('CreateContainer');
  const audit: Changes[] = [];
  await plugins.ask('CreateContainer', {
    ...place,
    request: merge.request,
    take: (response, plugin) => {
      consulted.push(plugin);
      ofPlugin(plugin, () => {
        if (response.adjust) checkAdjustment(response.adjust, facts);
      });
      const before = seenBy(merge);
      merge.add(response, pluginName(plugin));
      audit.push(...logChanges(deps, container.id, changesBetween(pluginName(plugin), before, seenBy(merge))));
    },
  });
  const result = merge.result();
  const adjusted = {
    ...request,
    adjust: result.adjust,
    update: [...result.update],
    owners: result.owners,
    plugins: consulted,
  };
  await validate?.(adjusted, container.config.linux?.security_context?.seccomp);
  await plugins.ask('ValidateContainerAdjustment', {
    ...place,
    request: () => adjusted,
    take: ({ reject, reason }, plugin) => {
      if (reject)
        throw new CriError('FAILED_PRECONDITION', `NRI plugin ${pluginName(plugin)} rejected the container: ${reason}`);
    },
  });
  return { ...result, audit };
}

/** The container as the plugins have made it so far; CDI devices are not in the message that plugins get. */
const seenBy = (merge: CreateMerge): Partial<Container> => ({
  ...merge.request().container,
  CDI_devices: merge.result().adjust.CDI_devices,
});

/** Logs what a plugin changed, and returns it; nothing if it changed nothing. */
export function logChanges({ log }: Pick<HookDeps, 'log'>, container: string, changes: Changes): Changes[] {
  if (changes.changes.length === 0) return [];
  logOf(log).info({ container, ...changes }, 'an NRI plugin adjusted the container');
  return [changes];
}

/** For an answer that cannot be applied: FAILED_PRECONDITION, because the caller's request is not at fault. */
export function ofPlugin(plugin: PluginInstance, check: () => void): void {
  try {
    check();
  } catch (thrown) {
    throw new CriError('FAILED_PRECONDITION', `NRI plugin ${pluginName(plugin)}: ${CriError.from(thrown).message}`);
  }
}

/** Tells plugins that a container whose creation has failed is stopped and removed. Failures are logged. */
export async function undoCreate(deps: HookDeps, { container, pod, spec }: NewContainer): Promise<void> {
  const { plugins } = deps;
  const place = { podId: pod.id, namespace: namespaceOf(pod), time: NO_LIMIT };
  const calls = (['StopContainer', 'RemoveContainer'] as const).filter((call) => plugins.wants(call));
  if (calls.length === 0) return;
  const message = { pod: await podFor(deps, pod, NEVER), container: containerMessage(container, spec) };
  for (const call of calls)
    await plugins.ask(call, { ...place, request: () => message }).catch(logFailure(deps, call, pod.id));
}
