import { setMaxListeners } from 'node:events';
import type { Container as ContainerMessage, PodSandbox } from '../../generated/nri/v1alpha1/api.js';
import { CriError } from '../base/errors.js';
import { logOf, type Logger } from '../base/log.js';
import { unlessAborted, withLimit } from '../base/time.js';
import { exists } from '../host/files/files.js';
import type { Steps, StepOptions } from '../operation/steps.js';
import type { Container, Pod } from '../state/records.js';
import type { State } from '../state/state.js';
import { containerMessage } from './adjust/container-message.js';
import { podMessage } from './adjust/pod-message.js';
import { inCallerTime } from './caller-time.js';
import type { Validate } from './default-validator.js';
import type { About, CallTime, PluginCall, PluginCalls, Plugins, Subject } from './port.js';
import type { StoredSpecs } from './stored-specs.js';
import type { Told } from './told.js';

/** The parts that the hooks in the operations on pods and on containers share. */

export interface HookDeps {
  readonly plugins: Plugins;
  readonly told: Told;
  readonly specs: StoredSpecs;
  readonly state: Pick<State, 'pods'>;
  readonly log: Logger;
  /** The built-in validator, if it is enabled. */
  readonly validate?: Validate | undefined;
}

/**
 * Announces a new pod or container: it counts as told, and a plugin that registers meanwhile gets it. When the
 * operation fails, the announcement ends, and the undo tells the plugins that were asked.
 */
export function beginSubject(
  { plugins, told }: Pick<HookDeps, 'plugins' | 'told'>,
  steps: Steps,
  subject: Subject,
): void {
  told.begin(subject.id);
  plugins.creating(subject);
  const end = (): void => {
    told.remove(subject.id);
    plugins.settled(subject.id);
  };
  steps.signal.addEventListener('abort', end, { once: true });
}

/** Asks the plugins as a step; it is not a step when no plugin wants the call. A failure fails the operation. */
export async function askStep(
  { plugins }: Pick<HookDeps, 'plugins'>,
  steps: Steps,
  call: PluginCall,
  podId: string,
  run: (time: CallTime) => Promise<void>,
  undo?: () => Promise<void>,
): Promise<void> {
  if (!plugins.wants(call)) return;
  const ask = (signal: AbortSignal): Promise<void> => run(callTime(steps, signal));
  await steps.step(`ask NRI plugins: ${call}`, ask, undo, stepOptions(plugins, podId));
}

/**
 * Tells plugins, as a step, what has happened already; a failure is logged. Each plugin is told, whatever the caller's
 * limit: only the wait has that limit. `request` is made before the operation goes on, which may remove the subject.
 */
export async function tellStep<C extends PluginCall>(
  deps: Pick<HookDeps, 'plugins' | 'log'>,
  steps: Steps,
  call: C,
  about: Pick<About<C>, 'podId' | 'namespace'> & { request(signal: AbortSignal): Promise<PluginCalls[C][0]> },
): Promise<void> {
  const { plugins } = deps;
  const { podId, namespace } = about;
  if (!plugins.wants(call)) return;
  const tell = async (signal: AbortSignal): Promise<void> => {
    const request = await about.request(signal);
    const telling = plugins.ask(call, { podId, namespace, request: () => request, time: NO_LIMIT });
    await inCallerWait(steps, signal, telling.catch(logFailure(deps, call, podId)));
  };
  const logged = (signal: AbortSignal): Promise<void> => tell(signal).catch(logFailure(deps, call, podId));
  await steps.step(`tell NRI plugins: ${call}`, logged, undefined, stepOptions(plugins, podId));
}

/** Waits for `telling`, which does not reject, no longer than the operation and its caller have left. */
export async function inCallerWait(
  steps: Pick<Steps, 'answerDueInMs'>,
  signal: AbortSignal,
  telling: Promise<void>,
): Promise<void> {
  const wait = inCallerTime(callTime(steps, signal), (limit) => unlessAborted(telling, limit));
  await wait.catch(() => undefined);
}

/** `signal`: of the step that asks. */
export const callTime = (steps: Pick<Steps, 'answerDueInMs'>, signal: AbortSignal): CallTime => ({
  signal,
  dueInMs: () => steps.answerDueInMs(),
});

/** For `catch`: logs that plugins could not be told. */
export const logFailure =
  ({ log }: Pick<HookDeps, 'log'>, call: PluginCall, podId: string) =>
  (thrown: unknown): void =>
    logOf(log).warn({ pod: podId, call, err: CriError.from(thrown).message }, 'NRI plugins not told');

const stepOptions = (plugins: Plugins, podId: string): StepOptions => ({
  waitingOn: () => plugins.waitingOn(podId),
});

/** Returns a pod as plugins see it. `pid`: of a pod that is not published as ready yet. */
export async function podFor(
  { specs }: Pick<HookDeps, 'specs'>,
  pod: Pod,
  signal: AbortSignal,
  pid?: number,
): Promise<PodSandbox> {
  const [spec, hasNetwork] = await Promise.all([
    pod.sandboxer === undefined ? specs.ofPod(pod, signal) : undefined,
    pod.netnsPath !== '' && exists(pod.netnsPath),
  ]);
  return podMessage({ pod, pid: pid ?? (pod.state.phase === 'ready' ? pod.state.pid : 0), spec, hasNetwork });
}

/** Returns a container as plugins see it, with its pod. `pid`: of a task that is created and not started. */
export async function containerFor(
  deps: Pick<HookDeps, 'specs' | 'state'>,
  container: Container,
  signal: AbortSignal,
  pid?: number,
): Promise<{ pod: PodSandbox | undefined; container: ContainerMessage }> {
  const pod = deps.state.pods.byId(container.podId);
  const [podSeen, spec] = await Promise.all([
    pod && podFor(deps, pod, signal),
    deps.specs.ofContainer(container, signal),
  ]);
  if (!spec) throw new CriError('NOT_FOUND', `container "${container.id}" has no spec in containerd`);
  return { pod: podSeen, container: containerMessage(container, spec, { ...container, pid }) };
}

export const namespaceOf = (pod: Pod | undefined): string => pod?.config.metadata?.namespace ?? '';

/** An undo waits this long for plugins. A plugin that is late is told when its turn comes. */
const UNDO_WAIT_MS = 250;

/** For an undo: waits for `telling`, but not for a plugin that is late, so that the caller gets its error in time. */
export const briefly = (telling: Promise<void>): Promise<void> => withLimit(telling, UNDO_WAIT_MS, () => undefined);

/** For undo steps, exits and Synchronize, which have limits of their own. */
export const NEVER = new AbortController().signal;
// Each notice under way listens to it.
setMaxListeners(0, NEVER);
export const NO_LIMIT: CallTime = { signal: NEVER };
