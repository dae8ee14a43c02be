import { z } from 'zod';
import { named, table } from './values.js';
import type { Path } from './tree.js';

/** Stands in a path for a name of the user's choosing, such as a runtime's. */
export const ANY = '*';

/**
 * Every option below `schema` as a path, with `*` for names of the user's choosing. A table of plain values under such
 * names (`images.pinned_images`) is one option.
 */
export function optionPaths(schema: z.ZodType, above: Path = []): Path[] {
  const children = childrenOf(schema);
  if (children.length === 0) return [above];
  return children.flatMap(([name, child]) => optionPaths(child, [...above, name]));
}

/** The names that may stand in the table at `path`; empty where any may, or where there is no table. */
export function namesAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let at: z.ZodType | undefined = schema;
  for (const key of path) {
    const children: [string, z.ZodType][] = at === undefined ? [] : childrenOf(at);
    at = children.find(([name]) => name === ANY || name === key)?.[1];
  }
  return at === undefined ? [] : childrenOf(at).flatMap(([name]) => (name === ANY ? [] : [name]));
}

/** The same tables with nothing in them required: what one file of several may hold. */
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
