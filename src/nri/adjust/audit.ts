import type { Container, Hook } from '../../../generated/nri/v1alpha1/api.js';

/** A field that a plugin changed. The texts are bounded, and empty where there is no value. */
export interface FieldChange {
  /** `mounts[/data]`, `linux.resources.cpu.shares`. */
  readonly field: string;
  readonly before: string;
  readonly after: string;
}

/** The changes of one plugin in a container. */
export interface Changes {
  readonly plugin: string;
  readonly changes: readonly FieldChange[];
  /** The number of changes that are left out. */
  readonly more: number;
}

const MAX_CHANGES = 32;
const MAX_TEXT = 96;
/** Stands for the value of an environment variable, which may be a secret, as may the arguments of a program. */
const HIDDEN = '(hidden)';
/** The members that distinguish the entries of a list. */
const KEYS = ['destination', 'path', 'type', 'page_size', 'name'] as const;
/** Fields that are shown as a whole. */
const WHOLE = new Set(['linux.seccomp_policy', 'linux.resources.devices']);

/** Returns the differences between a container before and after the answer of a plugin, sorted by field. */
export function changesBetween(plugin: string, before: Partial<Container>, after: Partial<Container>): Changes {
  const [old, now] = [leavesOf(before), leavesOf(after)];
  const fields = [...new Set([...old.keys(), ...now.keys()])]
    .filter((field) => old.get(field)?.text !== now.get(field)?.text)
    .sort();
  return {
    plugin,
    changes: fields.slice(0, MAX_CHANGES).map((field) => ({
      field: short(field),
      before: short(old.get(field)?.shown ?? ''),
      after: short(now.get(field)?.shown ?? ''),
    })),
    more: Math.max(0, fields.length - MAX_CHANGES),
  };
}

interface Leaf {
  readonly text: string;
  readonly shown: string;
}

function leavesOf({ args = [], env = [], hooks, ...rest }: Partial<Container>): Map<string, Leaf> {
  const leaves = new Map<string, Leaf>();
  if (args.length > 0) leaves.set('args', { text: json(args), shown: programOf(args) });
  for (const line of env) leaves.set(`env[${line.split('=', 1)[0]}]`, { text: line, shown: HIDDEN });
  for (const [kind, list] of Object.entries(hooks ?? {}) as [string, Hook[]][])
    for (const [index, hook] of list.entries())
      leaves.set(`hooks.${kind}[${index}]`, { text: json(hook), shown: `${hook.path}: ${programOf(hook.args)}` });
  collect(rest, '', leaves);
  return leaves;
}

/** The kubelet expands variables, which may be secrets, in arguments: `sh, 1 argument (hidden)`. */
function programOf([program = '', ...args]: readonly string[]): string {
  return `${program}, ${args.length} ${args.length === 1 ? 'argument' : 'arguments'} ${HIDDEN}`;
}

function collect(value: unknown, path: string, leaves: Map<string, Leaf>): void {
  if (value === undefined || value === null) return;
  const add = (text: string): void => void leaves.set(path.replace(/\.value$/, ''), { text, shown: text });
  if (typeof value === 'bigint') return add(String(value));
  if (typeof value !== 'object') return add(typeof value === 'string' ? value : json(value));
  if (WHOLE.has(path)) return add(json(value));
  if (!Array.isArray(value)) {
    const isMap = /annotations$|labels$|sysctl$|unified$|net_devices$/.test(path);
    for (const [key, member] of Object.entries(value))
      collect(member, isMap ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`, leaves);
    return;
  }
  const entries = value.map((entry: unknown) => [keyOf(entry), entry] as const);
  if (entries.every(([key]) => key !== undefined))
    for (const [key, entry] of entries) leaves.set(`${path}[${key}]`, { text: json(entry), shown: json(entry) });
  else if (entries.length > 0) add(json(value));
}

function keyOf(entry: unknown): string | undefined {
  const key = KEYS.find((name) => typeof (entry as Record<string, unknown>)[name] === 'string');
  return key === undefined ? undefined : String((entry as Record<string, unknown>)[key]);
}

const short = (text: string): string => (text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT - 1)}…` : text);

const json = (value: unknown): string =>
  JSON.stringify(value, (_key, member: unknown) => (typeof member === 'bigint' ? String(member) : member));
