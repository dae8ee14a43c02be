import { z } from 'zod';
import { CriError } from '../base/errors.js';
import type { Any } from '../containerd/containerd.js';
import { parseGoJson, stringifyGoJson } from './go-json.js';

/** The only version of all stored data so far. */
export const VERSION = 'v1';

/** Go writes every field; the defaults are for fields that an older version did not have. */
export const text = z.string().default('');
export const int = z.number().int().default(0);
export const nanoseconds = z
  .union([z.bigint(), z.number().int()])
  .default(0n)
  .transform((value) => BigInt(value));
export const object = z.custom<object>((value) => typeof value === 'object' && value !== null && !Array.isArray(value));

export const toAny = (typeUrl: string, value: unknown): Any => ({
  type_url: typeUrl,
  value: Buffer.from(stringifyGoJson(value)),
});

export function textOf(any: Any, typeUrl: string, id = 'unknown'): string {
  if (any.type_url === typeUrl) return Buffer.from(any.value).toString('utf8');
  throw new CriError('INTERNAL', `"${id}": stored as type "${any.type_url}", want "${typeUrl}"`);
}

/** Throws INTERNAL, naming `id` or else the id in the JSON, when it does not match `schema` or has another version. */
export function decode<T>(schema: z.ZodType<T>, json: string, what: string, id: string | undefined): T {
  let owner = id ?? 'unknown';
  try {
    const value = parseGoJson(json) as { Version?: unknown; Metadata?: { ID?: string } } | null;
    owner = id ?? value?.Metadata?.ID ?? 'unknown';
    if (value?.Version !== VERSION) {
      throw new CriError('INTERNAL', `${what} of "${owner}": unsupported version "${String(value?.Version)}"`);
    }
    return schema.parse(value);
  } catch (cause) {
    if (cause instanceof CriError) throw cause;
    throw new CriError('INTERNAL', `${what} of "${owner}": ${problem(cause)}`, { cause });
  }
}

function problem(thrown: unknown): string {
  if (!(thrown instanceof z.ZodError)) return String(thrown);
  const [issue] = thrown.issues;
  return `${issue?.path.join('.')}: ${issue?.message}`;
}
