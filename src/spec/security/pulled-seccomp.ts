import { invalidArgument } from '../../base/errors.js';
import type { OciSeccomp, OciSyscall, OciSyscallArg } from '../oci.js';
import { isAction, takesErrno } from './seccomp-outcome.js';
import { COMPARISONS } from './seccomp-values.js';

/** The largest number of entries in `syscalls`, and of names in all of them together. */
const MAX_ENTRIES = 4096;
const MAX_NAMES = 16_384;
/** A system call's rules are compared with each rule of the base. */
const MAX_RULES_OF_A_CALL = 64;
const MAX_ERRNO = 4095;
const MAX_ARGUMENTS = 6;

/**
 * Returns the seccomp profile in a parsed JSON document: `linux.seccomp` of the OCI runtime spec (config-linux.md).
 * Unlike a file of the node, a pulled profile is foreign data: each field is checked and an unknown one is an error, so
 * that no condition of another format (`includes`, `excludes`, `minKernel`) is lost. It may not name a listener, which
 * is a socket of the node. INVALID_ARGUMENT, with the path of the field.
 */
export function parsePulledSeccomp(content: unknown): OciSeccomp {
  const profile = record(content, 'profile', [
    ...['defaultAction', 'defaultErrnoRet', 'architectures', 'flags', 'syscalls', 'comment'],
  ]);
  const { defaultAction, defaultErrnoRet, architectures, flags, syscalls } = profile;
  const action = actionOf(defaultAction, 'defaultAction');
  const rules = syscalls === undefined ? [] : list(syscalls, 'syscalls', MAX_ENTRIES).map(ruleOf);
  checkCounts(rules);
  return {
    defaultAction: action,
    ...(defaultErrnoRet !== undefined && { defaultErrnoRet: errnoOf(defaultErrnoRet, action, 'defaultErrnoRet') }),
    ...(architectures !== undefined && { architectures: words(architectures, 'architectures', ARCHITECTURE) }),
    ...(flags !== undefined && { flags: words(flags, 'flags', FLAG) }),
    syscalls: rules,
  };
}

const ARCHITECTURE = /^SCMP_ARCH_[A-Z0-9_]{1,32}$/;
const FLAG = /^SECCOMP_FILTER_FLAG_(?:TSYNC|LOG|SPEC_ALLOW)$/;
const NAME = /^[a-z_][a-z0-9_]{0,63}$/;

function ruleOf(value: unknown, index: number): OciSyscall {
  const field = `syscalls[${index}]`;
  const { names, action, errnoRet, args } = record(value, field, ['names', 'action', 'errnoRet', 'args', 'comment']);
  const known = actionOf(action, `${field}.action`);
  return {
    names: words(names, `${field}.names`, NAME, MAX_NAMES),
    action: known,
    ...(errnoRet !== undefined && { errnoRet: errnoOf(errnoRet, known, `${field}.errnoRet`) }),
    ...(args !== undefined &&
      args !== null && {
        args: list(args, `${field}.args`, MAX_ARGUMENTS).map((each, at) => argumentOf(each, `${field}.args[${at}]`)),
      }),
  };
}

function argumentOf(content: unknown, field: string): OciSyscallArg {
  const { index, value, valueTwo, op } = record(content, field, ['index', 'value', 'valueTwo', 'op']);
  if (typeof op !== 'string' || !COMPARISONS.includes(op)) throw bad(`${field}.op`, 'is not a comparison', op);
  const position = Number(integer(index, `${field}.index`, BigInt(MAX_ARGUMENTS - 1)));
  return {
    index: position,
    value: integer(value, `${field}.value`, MAX_UINT64),
    ...(valueTwo !== undefined && { valueTwo: integer(valueTwo, `${field}.valueTwo`, MAX_UINT64) }),
    op,
  };
}

const MAX_UINT64 = (1n << 64n) - 1n;

function checkCounts(rules: readonly OciSyscall[]): void {
  const counts = new Map<string, number>();
  let total = 0;
  for (const { names, args } of rules) {
    for (const name of names) counts.set(name, (counts.get(name) ?? 0) + Math.max(1, args?.length ?? 0));
    total += names.length;
  }
  if (total > MAX_NAMES) throw invalidArgument('syscalls', `more than ${MAX_NAMES} names`);
  const most = [...counts].find(([, count]) => count > MAX_RULES_OF_A_CALL);
  if (most) throw invalidArgument('syscalls', `more than ${MAX_RULES_OF_A_CALL} rules for ${JSON.stringify(most[0])}`);
}

function actionOf(action: unknown, field: string): string {
  if (typeof action !== 'string' || !isAction(action)) throw bad(field, 'is not an action', action);
  if (action === 'SCMP_ACT_NOTIFY') throw invalidArgument(field, 'SCMP_ACT_NOTIFY needs a listener of the node');
  return action;
}

function errnoOf(value: unknown, action: string, field: string): number {
  if (!takesErrno(action)) throw invalidArgument(field, `is not for ${action}`);
  return Number(integer(value, field, BigInt(MAX_ERRNO)));
}

function integer(value: unknown, field: string, max: bigint): number | bigint {
  const isInteger = typeof value === 'bigint' || (typeof value === 'number' && Number.isSafeInteger(value));
  if (!isInteger || value < 0 || value > max) throw bad(field, `is not a number from 0 to ${max}`, value);
  return value;
}

function words(value: unknown, field: string, pattern: RegExp, limit = MAX_ENTRIES): string[] {
  return list(value, field, limit).map((word, index) => {
    if (typeof word !== 'string' || !pattern.test(word)) throw bad(`${field}[${index}]`, 'is not known', word);
    return word;
  });
}

function list(value: unknown, field: string, limit: number): unknown[] {
  if (!Array.isArray(value)) throw invalidArgument(field, 'is not a list');
  if (value.length > limit) throw invalidArgument(field, `has more than ${limit} entries`);
  return value;
}

function record(value: unknown, field: string, known: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalidArgument(field, 'is not an object');
  const strange = Object.keys(value).find((key) => !known.includes(key));
  if (strange !== undefined) throw invalidArgument(field, `unknown field ${quoted(strange)}`);
  return value as Record<string, unknown>;
}

const bad = (field: string, problem: string, value: unknown) => invalidArgument(field, `${quoted(value)} ${problem}`);

const MAX_QUOTED_LENGTH = 80;
const quoted = (value: unknown): string => {
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > MAX_QUOTED_LENGTH ? `${text.slice(0, MAX_QUOTED_LENGTH)}…` : text;
};
