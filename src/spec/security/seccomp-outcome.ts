import { CriError } from '../../base/errors.js';
import type { OciSeccomp, OciSyscall } from '../oci.js';

/** The action of a filter on a system call. */
export interface Outcome {
  readonly action: string;
  /** The number of SCMP_ACT_ERRNO and SCMP_ACT_TRACE; undefined for other actions. */
  readonly errno: number | undefined;
  /** Whether a rule gives it, not the default action of the profile. */
  readonly byRule: boolean;
}

/** The actions by strictness, as the kernel orders them when several filters apply: seccomp(2), "Return value". */
const STRICTNESS: ReadonlyMap<string, number> = new Map([
  ['SCMP_ACT_ALLOW', 0],
  ['SCMP_ACT_LOG', 1],
  ['SCMP_ACT_TRACE', 2],
  ['SCMP_ACT_NOTIFY', 3],
  ['SCMP_ACT_ERRNO', 4],
  ['SCMP_ACT_TRAP', 5],
  ['SCMP_ACT_KILL', 6],
  ['SCMP_ACT_KILL_THREAD', 6],
  ['SCMP_ACT_KILL_PROCESS', 7],
]);
const EPERM = 1;

export const isAction = (action: string): boolean => STRICTNESS.has(action);

export const takesErrno = (action: string): boolean => action === 'SCMP_ACT_ERRNO' || action === 'SCMP_ACT_TRACE';

export const outcomeOfRule = ({ action, errnoRet }: Pick<OciSyscall, 'action' | 'errnoRet'>): Outcome => ({
  action,
  errno: takesErrno(action) ? (errnoRet ?? EPERM) : undefined,
  byRule: true,
});

export const outcomeByDefault = ({ defaultAction, defaultErrnoRet }: OciSeccomp): Outcome => ({
  ...outcomeOfRule({ action: defaultAction, ...(defaultErrnoRet !== undefined && { errnoRet: defaultErrnoRet }) }),
  byRule: false,
});

/** Returns a number that is larger for a stricter action. INVALID_ARGUMENT for an action that crid does not know. */
export function strictness({ action }: Pick<Outcome, 'action'>): number {
  const known = STRICTNESS.get(action);
  if (known === undefined) throw new CriError('INVALID_ARGUMENT', `unknown action ${JSON.stringify(action)}`);
  return known;
}

/**
 * Returns the stricter of two outcomes. Of two errors, one of a rule comes before one of a default, because a rule
 * chooses its number for a reason, as ENOSYS for clone3; else the first.
 */
export function stricter(a: Outcome, b: Outcome): Outcome {
  const difference = strictness(a) - strictness(b);
  if (difference !== 0) return difference > 0 ? a : b;
  return b.byRule && !a.byRule ? b : a;
}

export const sameOutcome = (a: Outcome, b: Outcome): boolean => strictness(a) === strictness(b) && a.errno === b.errno;
