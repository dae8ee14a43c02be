import type { z } from 'zod';
import { nearest } from './nearest.js';
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
