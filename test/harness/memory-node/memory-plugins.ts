import type { Container, PluginInstance, PodSandbox } from '../../../generated/nri/v1alpha1/api.js';
import type { About, PluginCall, PluginCalls, Plugins } from '../../../src/nri/port.js';

/** The answer of a plugin to a call; a call without one gets an empty answer. */
export type Answers = { [C in PluginCall]?: (request: PluginCalls[C][0]) => Partial<PluginCalls[C][1]> };

export interface MemoryPlugin {
  readonly instance: PluginInstance;
  readonly answers: Answers;
  /** The calls that the plugin wants; all if unset. */
  readonly wants?: readonly PluginCall[];
}

export interface MemoryPlugins extends Plugins {
  /** `CreateContainer 10-a`, in the order of the calls. */
  readonly calls: string[];
  /** The messages of the calls, in the same order. */
  readonly requests: { pod?: PodSandbox | undefined; container?: Container | undefined }[];
  /** The ids that have been announced and are not settled. */
  readonly announced: ReadonlySet<string>;
}

/** Plugins in the memory of the test, which answer at once. */
export function memoryPlugins(...plugins: MemoryPlugin[]): MemoryPlugins {
  const calls: string[] = [];
  const requests: MemoryPlugins['requests'] = [];
  const announced = new Set<string>();
  const wanting = (call: PluginCall): MemoryPlugin[] => plugins.filter(({ wants }) => wants?.includes(call) ?? true);
  return {
    calls,
    requests,
    announced,
    wants: (call) => wanting(call).length > 0,
    async ask<C extends PluginCall>(call: C, { request, take }: About<C>) {
      for (const { instance, answers } of wanting(call)) {
        const asked = request();
        calls.push(`${call} ${instance.index}-${instance.name}`);
        requests.push(structuredClone(asked));
        const answer = answers[call] as ((of: PluginCalls[C][0]) => Partial<PluginCalls[C][1]>) | undefined;
        const response = { ...EMPTY, ...answer?.(asked) } as unknown as PluginCalls[C][1];
        take?.(response, instance);
      }
    },
    creating: ({ id }) => void announced.add(id),
    settled: (id) => void announced.delete(id),
    others: (call) => plugins.filter((plugin) => !wanting(call).includes(plugin)).map(({ instance }) => instance),
    snapshot: () => ({}),
    waitingOn: () => undefined,
  };
}

const EMPTY = { adjust: undefined, update: [], evict: [], reject: false, reason: '' };
