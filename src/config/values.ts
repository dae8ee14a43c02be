import { z } from 'zod';
import { parseDurationMs } from './duration.js';

/**
 * The types that an option's value can have. Each has one phrase, "expected …", which the user reads when the value has
 * another type. The loader adds the value, the option's path and the file.
 */

export const flag = z.boolean({ error: 'expected true or false' });

export const text = z.string({ error: 'expected text in quotes' });

export const filledText = text.min(1, { error: 'expected text that is not empty' });

export function wholeNumber(least?: number) {
  const error = least === undefined ? 'expected a whole number' : `expected a whole number from ${least} up`;
  const number = z.int({ error: ({ code }) => (code === 'invalid_type' ? 'expected a whole number' : error) });
  return least === undefined ? number : number.min(least, { error });
}

export const oneOf = <const T extends readonly [string, ...string[]]>(choices: T) =>
  z.enum(choices, { error: `expected one of ${choices.map((choice) => JSON.stringify(choice)).join(', ')}` });

export const list = <T extends z.ZodType>(element: T) => z.array(element, { error: 'expected a list' });

/** A table whose keys the user chooses. */
export const named = <T extends z.ZodType>(element: T) =>
  z.record(
    z.string().refine((name) => name !== '' && name !== '__proto__'),
    element,
    {
      error: ({ code }) => (code === 'invalid_key' ? 'expected a name' : 'expected a table'),
    },
  );

export const table = <T extends z.core.$ZodLooseShape>(shape: T) => z.strictObject(shape, { error: tableError });

export const absolutePath = text.startsWith('/', { error: 'expected an absolute path' });

/** An absolute path, or empty for none. */
export const optionalPath = text.refine((path) => path === '' || path.startsWith('/'), {
  error: 'expected an absolute path or ""',
});

/** Absolute paths separated by colons, or empty. */
export const pathList = text.refine((paths) => paths === '' || paths.split(':').every((path) => path.startsWith('/')), {
  error: 'expected absolute paths with ":" between them, or ""',
});

/** The path of a unix socket, with or without the prefix `unix://`. */
export const socketPath = text.regex(/^(unix:\/\/)?\/./, { error: 'expected the absolute path of a unix socket' });

/** A Go duration, not negative. Empty means the default, as in the output of `containerd config dump`. */
export const duration = text.refine((value) => value === '' || (parseDurationMs(value) ?? -1) >= 0, {
  error: 'expected a duration such as "10s" or "1h30m"',
});

export const port = text.refine((value) => /^\d{1,5}$/.test(value) && Number(value) <= 65535, {
  error: 'expected a port in quotes, "0" to "65535"',
});

function tableError({ code }: z.core.$ZodRawIssue): string | undefined {
  return code === 'invalid_type' ? 'expected a table' : undefined;
}
