import { existsSync, readFileSync } from 'node:fs';
import { CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { sleep } from '../base/time.js';
import { exists } from '../host/files/files.js';
import type { StepHook } from './steps.js';

/**
 * The fault harness, for tests: `CRID_FAULT=KIND/STEP:PHASE=WHAT` makes one step of one kind of operation go wrong.
 * PHASE is `before` or `after`. WHAT is `kill` (the process dies as with kill -9), `fail`, `hang` (until the file named
 * after a further `=` exists), `reject` (an unhandled promise rejection) or `throw` (an exception outside of any call).
 * After the last two the step goes on. Commas separate several faults. `CRID_FAULT=@FILE` reads the faults from that
 * file at every step; without the file there is no fault.
 */
export function faultHook(text: string | undefined, log: Logger): StepHook | undefined {
  if (!text) return undefined;
  const faults = text.startsWith('@') ? () => faultsIn(text.slice(1)) : constant(parseFaults(text));
  log.warn({ faults: text }, 'faults are injected');
  const strike = async (phase: string, kind: string, step: string): Promise<void> => {
    for (const fault of faults()) {
      if (fault.kind === kind && fault.step === step && fault.phase === phase) await inflict(fault, `${kind}: ${step}`);
    }
  };
  return {
    before: (kind, step) => strike('before', kind, step),
    after: (kind, step) => strike('after', kind, step),
  };
}

interface Fault {
  readonly kind: string;
  readonly step: string;
  readonly phase: string;
  readonly what: string;
  readonly until: string;
}

const parseFaults = (text: string): Fault[] => text.trim().split(',').filter(Boolean).map(parseFault);

const constant =
  <T>(value: T) =>
  (): T =>
    value;

function faultsIn(path: string): Fault[] {
  return existsSync(path) ? parseFaults(readFileSync(path, 'utf8')) : [];
}

function parseFault(text: string): Fault {
  const match = /^([^/]+)\/([^:]+):(before|after)=(kill|fail|hang|reject|throw)(?:=(.+))?$/.exec(text);
  if (!match)
    throw new CriError(
      'INVALID_ARGUMENT',
      `CRID_FAULT: expected KIND/STEP:before|after=kill|fail|hang|reject|throw, received "${text}"`,
    );
  const [, kind = '', step = '', phase = '', what = '', until = ''] = match;
  return { kind, step, phase, what, until };
}

async function inflict(fault: Fault, where: string): Promise<void> {
  switch (fault.what) {
    case 'kill':
      process.kill(process.pid, 'SIGKILL');
      await new Promise(() => undefined);
      return;
    case 'fail':
      throw new CriError('INTERNAL', `fault injected at ${where}`);
    case 'reject':
      // eslint-disable-next-line @typescript-eslint/no-floating-promises -- the fault that this injects
      Promise.reject(new Error(`fault injected at ${where}`));
      return;
    case 'throw':
      setImmediate(() => {
        throw new Error(`fault injected at ${where}`);
      });
      return;
    default:
      await untilThere(fault.until);
  }
}

async function untilThere(path: string): Promise<void> {
  while (path === '' || !(await exists(path))) await sleep(LOOK_AGAIN_MS);
}

const LOOK_AGAIN_MS = 50;
