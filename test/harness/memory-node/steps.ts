import { PHASES, type Moment } from './hooks.js';
import type { MemoryCrid } from './memory-crid.js';

/** Returns the steps of one kind of operation that have begun, in order. */
export const stepsOf = ({ steps }: MemoryCrid, kind: string): string[] =>
  steps.begun.filter((each) => each.startsWith(`${kind}/`)).map((each) => each.slice(kind.length + 1));

/** Returns the moments before and after each of the steps. */
export const momentsOf = (kind: string, steps: readonly string[]): Moment[] =>
  [...new Set(steps)].flatMap((step) => PHASES.map((phase) => ({ kind, step, phase })));

export const faultAt = ({ kind, step, phase }: Moment): string => `${kind}/${step}:${phase}=fail`;

export const nameOf = ({ step, phase }: Moment): string => `${phase} "${step}"`;
