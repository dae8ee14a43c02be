import { writeFileSync } from 'node:fs';
import { CriError } from '../../../src/base/errors.js';
import type { Logger } from '../../../src/base/log.js';
import { faultHook } from '../../../src/operation/faults.js';
import type { StepHook } from '../../../src/operation/steps.js';

export const PHASES = ['before', 'after'] as const;

/** A moment in an operation: before or after one of its steps. */
export interface Moment {
  readonly kind: string;
  readonly step: string;
  readonly phase: (typeof PHASES)[number];
}

/** Controls the steps of a crid: faults, stops and a cut. */
export interface StepControl {
  readonly hook: StepHook;
  /** The steps in the order in which they began, as `KIND/STEP`. */
  readonly begun: readonly string[];
  /** Sets the faults in the form of `CRID_FAULT`; "" for none. */
  setFault(faults: string): void;
  /** Calls `look` at the end of every step. */
  onStep(look: (step: string) => void): void;
  /** Stops at a moment: resolves once it has come, with a function that lets the operation go on. */
  hold(moment: Moment): Promise<() => void>;
  /** At a moment, calls `onCut` and lets no step begin or end any more, as if the process had been killed. */
  cut(moment: Moment, onCut: () => void): Promise<void>;
  /** Lets the steps fail that a cut has stopped, so that their operations end. */
  end(): void;
}

export function createStepControl(faultFile: string, log: Logger): StepControl {
  const faults = faultHook(`@${faultFile}`, log);
  const begun: string[] = [];
  const stops: { moment: Moment; reached: () => Promise<void> | void }[] = [];
  let look = (_step: string): void => undefined;
  let isCut = false;
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));

  const untilEnd = async (): Promise<void> => {
    await ended;
    throw new CriError('CANCELLED', 'cut off');
  };
  const pass = async (moment: Moment): Promise<void> => {
    if (isCut) return untilEnd();
    for (const stop of stops.filter((each) => isSame(each.moment, moment))) await stop.reached();
    if (isCut) await untilEnd();
  };

  return {
    hook: {
      async before(kind, step) {
        begun.push(`${kind}/${step}`);
        await pass({ kind, step, phase: 'before' });
        await faults?.before?.(kind, step);
      },
      async after(kind, step, outcome) {
        look(`${kind}/${step}`);
        await pass({ kind, step, phase: 'after' });
        await faults?.after?.(kind, step, outcome);
      },
    },
    begun,
    setFault: (text) => writeFileSync(faultFile, text),
    onStep: (wanted) => void (look = wanted),
    hold: (moment) =>
      new Promise((resolve) => {
        const reached = (): Promise<void> => new Promise<void>((goOn) => resolve(goOn));
        stops.push({ moment, reached });
      }),
    cut: (moment, onCut) =>
      new Promise((resolve) => {
        const reached = (): void => {
          isCut = true;
          onCut();
          resolve();
        };
        stops.push({ moment, reached });
      }),
    end: () => end(),
  };
}

const isSame = (a: Moment, b: Moment): boolean => a.kind === b.kind && a.step === b.step && a.phase === b.phase;
