import type { Container, Pod } from '../state/records.js';
import type { State } from '../state/state.js';

type Phase = 'live' | 'stopped';

/**
 * The pods and containers that plugins have been told of, so that each stop and each removal is told once, and none of
 * a container that no plugin has heard of.
 */
export interface Told {
  begin(id: string): void;
  /** The container is started after all: its end is told again. */
  startAgain(id: string): void;
  /** Whether the stop is still to be told. */
  isLive(id: string): boolean;
  /** Whether the stop is still to be told; it then counts as told. */
  stop(id: string): boolean;
  /** Whether the removal is still to be told; it then counts as told. */
  remove(id: string): boolean;
  close(): void;
}

/**
 * Pods and containers that a start finds count as told: a plugin gets them when it registers. Containers that have
 * ended by then, and pods that the start undoes, do not.
 */
export function createTold({ pods, containers }: Pick<State, 'pods' | 'containers'>): Told {
  const phases = new Map<string, Phase>();
  const follow = <T extends { readonly id: string }>(phaseOf: (record: T) => Phase | undefined) => {
    return (before: T | undefined, after: T | undefined): void => {
      if (before && !after) phases.delete(before.id);
      if (before || !after || phases.has(after.id)) return;
      const phase = phaseOf(after);
      if (phase) phases.set(after.id, phase);
    };
  };
  const closes = [pods.onChange(follow(podPhase)), containers.onChange(follow(containerPhase))];

  return {
    begin: (id) => void phases.set(id, 'live'),
    startAgain(id) {
      if (phases.has(id)) phases.set(id, 'live');
    },
    isLive: (id) => phases.get(id) === 'live',
    stop(id) {
      if (phases.get(id) !== 'live') return false;
      phases.set(id, 'stopped');
      return true;
    },
    remove: (id) => phases.delete(id),
    close: () => closes.forEach((close) => close()),
  };
}

function podPhase({ state, halfMade, undoing }: Pod): Phase | undefined {
  if (halfMade || undoing) return undefined;
  return state.phase === 'ready' ? 'live' : 'stopped';
}

const containerPhase = ({ state }: Container): Phase | undefined => (state.phase === 'exited' ? undefined : 'live');
