import type { z } from 'zod';
import { configSchema } from './options.js';
import { namesAt, optionPaths, partialOf } from './schema-walk.js';
import { keyText, type Tree } from './tree.js';

/** A problem with one option: its path in the layout of the Config, and a phrase. */
export interface Problem {
  readonly path: readonly PropertyKey[];
  readonly text: string;
}

export interface Checked {
  /** Options whose value has the wrong type. */
  readonly wrong: Problem[];
  /** Keys that are not options. The caller decides whether they are errors. */
  readonly unknown: Problem[];
}

const partialSchema = partialOf(configSchema);

/** Checks the options of one file, in the layout of the Config, against the schema. No option is required. */
export function checkOptions(options: Tree): Checked {
  const result = partialSchema.safeParse(options, { reportInput: true });
  const issues = result.success ? [] : result.error.issues;
  return {
    wrong: issues.filter(({ code }) => code !== 'unrecognized_keys').map(wrongValue),
    unknown: issues.flatMap((issue) => (issue.code === 'unrecognized_keys' ? unknownKeys(issue) : [])),
  };
}

/** `expected a whole number, received "many"`. */
export const expectedReceived = (expected: string, value: unknown): string => `${expected}, received ${shown(value)}`;

function wrongValue({ path, message, input }: z.core.$ZodIssue): Problem {
  return { path, text: isSecret(path) ? message : expectedReceived(message, input) };
}

function unknownKeys({ path, keys }: z.core.$ZodIssueUnrecognizedKeys): Problem[] {
  return keys.map((key) => {
    const suggestion = suggest(path, key);
    return { path: [...path, key], text: `unknown option${suggestion ? `, did you mean ${suggestion}?` : ''}` };
  });
}

/** Suggests a similar name in the same table, or the same name in another table. */
function suggest(path: readonly PropertyKey[], key: string): string | undefined {
  const near = nearest(key, namesAt(configSchema, path));
  if (near !== undefined) return keyText([...path, near]);
  const elsewhere = optionPaths(configSchema).find((option) => option.at(-1) === key);
  return elsewhere && elsewhere.map((name) => (name === '*' ? 'NAME' : name)).join('.');
}

/** Whether the option holds a credential, whose value must not appear in a message. */
const isSecret = (path: readonly PropertyKey[]): boolean =>
  path[0] === 'images' && path[1] === 'registry' && ['auths', 'configs', 'headers'].includes(String(path[2]));

const SHOWN_CHARACTERS = 80;

function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'a table';
  const text = typeof value === 'bigint' ? value.toString() : (JSON.stringify(value) ?? typeof value);
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
}

/** Returns the candidate that `name` most likely means, or undefined when none is similar. */
function nearest(name: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestEdits = Math.max(1, Math.floor(name.length / 3)) + 1;
  for (const candidate of candidates) {
    const edits = editsBetween(plain(name), plain(candidate));
    if (edits < bestEdits) [best, bestEdits] = [candidate, edits];
  }
  return best;
}

/** Ignores case and separators, which are the most frequent mistakes (`maxConfNum`, `max-conf-num`). */
const plain = (name: string): string => name.toLowerCase().replaceAll(/[^a-z0-9]/g, '');

/** Levenshtein distance, computed row by row. */
function editsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
