import type { Container, ContainerUpdate, PodSandbox } from '../../generated/nri/v1alpha1/api.js';
import { allEnded } from '../base/all-ended.js';
import { createKeyedQueue } from '../base/async.js';
import { CriError } from '../base/errors.js';
import { logOf, type Logger } from '../base/log.js';
import { unlessAborted } from '../base/time.js';
import type { NriConfig } from '../config/schema.js';
import { PeerError } from '../ttrpc/ttrpc-errors.js';
import { CallerLateError, inCallerTime } from './caller-time.js';
import type { Plugin } from './plugin.js';
import { missingPlugins, policyOf } from './plugin-policy.js';
import type { About, PluginCall, PluginCalls, Plugins, Snapshot, Subject } from './port.js';
import { NEVER } from './tell.js';

/** The registered plugins, in the order of their indexes. */
export interface Registry extends Plugins {
  /**
   * Adds a plugin and tells it the state of the node. The state is the one of this moment: everything that happens to
   * pods and containers from now on is told by its own call, which waits until the plugin knows the state. Throws if
   * the plugin fails; it is closed then.
   */
  join(plugin: Plugin): Promise<ContainerUpdate[]>;
  list(): readonly Plugin[];
}

export interface RegistryOptions {
  readonly log: Logger;
  readonly config: NriConfig;
  /** The pods and the containers of the state that plugins are told of. */
  readonly known: () => Subject[];
}

/** The calls that only tell what has happened: no plugin's response can change anything for the next plugin. */
const NOTICES: ReadonlySet<PluginCall> = new Set([
  'PostCreateContainer',
  'PostStartContainer',
  'PostUpdateContainer',
  'PostUpdatePodSandbox',
  'RemoveContainer',
  'RemovePodSandbox',
]);

/** Messages of the state that are made at a time, each with a call to containerd. */
const MESSAGES_AT_ONCE = 16;

export function createRegistry({ log, config, known }: RegistryOptions): Registry {
  let plugins: readonly Plugin[] = [];
  const inTurn = createKeyedQueue();
  const waits = new Map<string, Set<string>>();
  const underWay = new Map<string, Subject>();

  const missing = (namespace?: string): string[] => missingPlugins(config, plugins.map(instanceOf), namespace);
  const snapshots = createSnapshots();

  const askOne = async <C extends PluginCall>(plugin: Plugin, call: C, about: About<C>): Promise<void> => {
    const { podId, time } = about;
    let response: PluginCalls[C][1] | undefined;
    const waiting = waits.get(podId) ?? new Set();
    waits.set(podId, waiting.add(plugin.name));
    try {
      response = await inCallerTime(time, (signal) => plugin.call(call, about.request, signal));
    } catch (thrown) {
      if (time.signal.aborted) throw CriError.from(time.signal.reason);
      onFailure({ log, config }, plugin, call, CriError.from(thrown));
      return snapshots.passOver(about.since, plugin);
    } finally {
      waiting.delete(plugin.name);
      if (waiting.size === 0) waits.delete(podId);
    }
    if (response !== undefined) about.take?.(response, plugin.instance);
  };
  const askAll = async <C extends PluginCall>(call: C, about: About<C>): Promise<void> => {
    // A plugin that is lost meanwhile is asked too: its call fails, and its policy decides on the request.
    const asked = snapshots
      .withLost(plugins, about.since)
      .filter((plugin) => plugin.wants(call) && !policyOf(config, plugin.instance).exempts(about.namespace));
    if (call === 'ValidateContainerAdjustment') return allEnded(asked.map((plugin) => askOne(plugin, call, about)));
    if (NOTICES.has(call)) return allTold(asked.map((plugin) => askOne(plugin, call, about)));
    for (const plugin of asked) await askOne(plugin, call, about);
  };

  return {
    wants: (call) =>
      plugins.some((plugin) => plugin.wants(call)) || (call === 'CreateContainer' && missing().length > 0),
    ask: (call, about) =>
      inTurn(
        about.podId,
        async () => {
          const [absent] = call === 'CreateContainer' ? missing(about.namespace) : [];
          if (absent !== undefined)
            throw new CriError('FAILED_PRECONDITION', `the required NRI plugin "${absent}" is not registered`);
          await askAll(call, about);
        },
        (turn) => unlessAborted(turn, about.time.signal),
      ),
    creating: (subject) => void underWay.set(subject.id, subject),
    settled: (id) => void underWay.delete(id),
    waitingOn: (podId) => waits.get(podId) && `NRI plugin ${[...waits.get(podId)!].join(', ')}`,
    others: (call) => plugins.filter((plugin) => !plugin.wants(call)).map(({ instance }) => instance),
    snapshot: () => snapshots.take(plugins),
    list: () => plugins,
    async join(plugin) {
      const subjects = new Map([...underWay, ...known().map((each) => [each.id, each] as const)]);
      plugins = [...plugins, plugin].sort(byIndex);
      plugin.onClose((reason) => {
        plugins = plugins.filter((other) => other !== plugin);
        log.info({ plugin: plugin.name, err: reason.message }, 'an NRI plugin is gone');
      });
      try {
        return await plugin.synchronize(() => messagesOf([...subjects.values()]));
      } catch (thrown) {
        plugin.close(CriError.from(thrown).prefixed('synchronize'));
        throw thrown;
      }
    },
  };
}

/** Waits for all. Throws the first failure by the order of the plugins, with the messages of the others. */
async function allTold(tellings: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(tellings);
  const failures = results.flatMap((each) => (each.status === 'rejected' ? [CriError.from(each.reason)] : []));
  const [first] = failures;
  if (first) throw new CriError(first.code, failures.map(({ message }) => message).join('; '));
}

function createSnapshots() {
  const taken = new WeakMap<Snapshot, Set<Plugin>>();
  return {
    take(plugins: readonly Plugin[]): Snapshot {
      const since = Object.freeze({});
      taken.set(since, new Set(plugins));
      return since;
    },
    /** The request goes on without the plugin. */
    passOver: (since: Snapshot | undefined, plugin: Plugin): void => void (since && taken.get(since)?.delete(plugin)),
    /** Returns the plugins with those that were registered at `since`, by index. */
    withLost: (plugins: readonly Plugin[], since: Snapshot | undefined): readonly Plugin[] =>
      [...new Set([...((since && taken.get(since)) ?? []), ...plugins])].sort(byIndex),
  };
}

const instanceOf = ({ instance }: Plugin): Plugin['instance'] => instance;

const byIndex = (a: Plugin, b: Plugin): number => {
  const [first, second] = [a.instance.index, b.instance.index];
  return first < second ? -1 : first > second ? 1 : 0;
};

/** Throws if the failure of a plugin fails the request. */
function onFailure(
  { log, config }: Pick<RegistryOptions, 'log' | 'config'>,
  plugin: Plugin,
  call: PluginCall,
  error: CriError,
): void {
  const described = error.prefixed(`NRI plugin ${plugin.name}: ${call}`);
  if (error instanceof PeerError || error instanceof CallerLateError) throw described;
  const { failsRequests, required } = policyOf(config, plugin.instance);
  const isMissed =
    call === 'ValidateContainerAdjustment' || (call === 'CreateContainer' && required && plugin.closed !== undefined);
  const fails = isMissed || failsRequests || plugin.failurePolicy.fail_request;
  logOf(log).warn({ plugin: plugin.name, call, err: error.message, fails }, 'an NRI plugin failed');
  if (fails) throw described;
}

async function messagesOf(subjects: readonly Subject[]): Promise<{ pods: PodSandbox[]; containers: Container[] }> {
  const pods: PodSandbox[] = [];
  const containers: Container[] = [];
  for (let at = 0; at < subjects.length; at += MESSAGES_AT_ONCE) {
    const batch = subjects.slice(at, at + MESSAGES_AT_ONCE);
    await Promise.all(
      batch.map(async (subject) => {
        if (subject.kind === 'pod') {
          const pod = await subject.message(NEVER);
          if (pod) pods.push(pod);
        } else {
          const container = await subject.message(NEVER);
          if (container) containers.push(container);
        }
      }),
    );
  }
  return { pods, containers };
}
