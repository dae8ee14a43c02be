import { z } from 'zod';
import { named, table } from './values.js';
import type { Path } from './tree.js';

/** Matches, in a path, a key that the user chooses, such as a runtime's name. */
export const ANY = '*';

/**
 * Returns the path of every option below `schema`, with `*` for keys that the user chooses. A table of plain values
 * under such keys (`images.pinned_images`) is one option.
 */
export function optionPaths(schema: z.ZodType, above: Path = []): Path[] {
  const children = childrenOf(schema);
  if (children.length === 0) return [above];
  return children.flatMap(([name, child]) => optionPaths(child, [...above, name]));
}

/** Returns the keys that the table at `path` may have. Empty when any key is allowed, or when there is no table. */
export function namesAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let at: z.ZodType | undefined = schema;
  for (const key of path) {
    const children: [string, z.ZodType][] = at === undefined ? [] : childrenOf(at);
    at = children.find(([name]) => name === ANY || name === key)?.[1];
  }
  return at === undefined ? [] : childrenOf(at).flatMap(([name]) => (name === ANY ? [] : [name]));
}

/** Returns the same tables with all options optional: the schema of one file among several. */
export function partialOf(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodObject) {
    return table(Object.fromEntries(childrenOf(schema).map(([name, child]) => [name, partialOf(child).optional()])));
  }
  if (schema instanceof z.ZodRecord) return named(partialOf(schema.valueType as z.ZodType));
  return schema;
}

function childrenOf(schema: z.ZodType): [string, z.ZodType][] {
  if (schema instanceof z.ZodObject) return Object.entries<z.ZodType>(schema.shape);
  if (schema instanceof z.ZodRecord && schema.valueType instanceof z.ZodObject) return [[ANY, schema.valueType]];
  return [];
}
