import type { SELinuxOption } from '../../../generated/runtime/v1/api.js';
import { CriError } from '../../base/errors.js';
import type { SelinuxLabels } from '../types.js';

/** A policy's default contexts of containers: `user:role:type:level` of processes and of files. */
export interface SelinuxContexts {
  readonly process: string;
  readonly file: string;
}

/** Parses a policy's `contexts/lxc_contexts`: `process = "…"` and `file = "…"`. Undefined when it lacks one of them. */
export function parseSelinuxContexts(text: string): SelinuxContexts | undefined {
  const value = (key: string): string | undefined =>
    new RegExp(`^\\s*${key}\\s*=\\s*"?([^"\\n]+?)"?\\s*$`, 'm').exec(text)?.[1];
  const process = value('process');
  const file = value('file');
  return process === undefined || file === undefined ? undefined : { process, file };
}

/**
 * Returns the labels of a pod's or a container's processes and files. The parts in `options`, or if it is empty those
 * of `parent` (the pod's process label), replace the parts of the policy's contexts. Files take only the user and the
 * level.
 */
export function selinuxLabels(input: {
  readonly contexts: SelinuxContexts;
  readonly options: SELinuxOption | undefined;
  readonly parent: string;
  /** Called if neither the options nor the parent have a level. */
  readonly freeLevel: () => string;
}): SelinuxLabels {
  const { contexts, options } = input;
  const asked = options && (options.user || options.role || options.type || options.level) ? options : undefined;
  const wanted = asked ?? (input.parent === '' ? undefined : partsOf(input.parent));
  const process = partsOf(contexts.process);
  const file = partsOf(contexts.file);
  const level = wanted?.level || input.freeLevel();
  const user = wanted?.user || process.user;
  return {
    processLabel: [user, wanted?.role || process.role, wanted?.type || process.type, level].join(':'),
    mountLabel: [wanted?.user || file.user, file.role, file.type, level].join(':'),
  };
}

/** The level (`s0:c1,c2`) of a context. */
export const levelOf = (context: string): string => (context === '' ? '' : partsOf(context).level);

/** Returns a level with a random unused pair of categories, so that containers cannot reach each other's files. */
export function freeLevel(used: ReadonlySet<string>, range: number, random: () => number): string {
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const [a, b] = [Math.floor(random() * range), Math.floor(random() * range)];
    const level = `s0:c${Math.min(a, b)},c${Math.max(a, b)}`;
    if (a !== b && !used.has(level)) return level;
  }
  throw new CriError('RESOURCE_EXHAUSTED', `no pair of ${range} SELinux categories is free`);
}

const MAX_TRIES = 10_000;

function partsOf(context: string): { user: string; role: string; type: string; level: string } {
  const [user = '', role = '', type = '', ...level] = context.split(':');
  return { user, role, type, level: level.join(':') };
}
