import { readFile } from 'node:fs/promises';
import { isSafeNumber, parse } from 'lossless-json';
import { z } from 'zod';
import { CriError } from '../base/errors.js';
import type { Config } from './options.js';

/**
 * An OCI runtime spec as JSON. Whole numbers that a double cannot hold (an rlimit of 2^64-1) are bigints, and so are
 * all limits of CPU, memory and huge pages.
 */
export type BaseSpec = { readonly ociVersion: string; readonly [key: string]: unknown };

/** Reads the specs that runtime handlers name as `base_runtime_spec`. Returns them by path. Read once, at start. */
export async function loadBaseSpecs({ runtime }: Config): Promise<ReadonlyMap<string, BaseSpec>> {
  const paths = Object.values(runtime.containerd.runtimes).map((handler) => handler.base_runtime_spec);
  const specs = new Map<string, BaseSpec>();
  for (const path of new Set(paths)) if (path !== '') specs.set(path, await loadBaseSpec(path));
  return specs;
}

/**
 * Reads the OCI runtime spec at `path`. Throws FAILED_PRECONDITION with the file and the field when it is not valid.
 */
export async function loadBaseSpec(path: string): Promise<BaseSpec> {
  const refused = (problem: string, cause?: unknown): CriError =>
    new CriError('FAILED_PRECONDITION', `base_runtime_spec ${path}: ${problem}`, { cause });
  let spec: unknown;
  try {
    spec = parse(await readFile(path, 'utf8'), undefined, toNumber);
  } catch (thrown) {
    if (thrown instanceof SyntaxError) throw refused(`not JSON: ${thrown.message}`, thrown);
    throw refused(`cannot be read: ${(thrown as NodeJS.ErrnoException).code ?? String(thrown)}`, thrown);
  }
  const result = baseSpecSchema.safeParse(spec);
  if (result.success) return result.data;
  const problems = result.error.issues.map(
    ({ path: field, message }) => `${field.join('.') || 'the file'}: ${message}`,
  );
  throw refused(problems.join('; '));
}

const object = z.looseObject({}, { error: 'expected an object' }).optional();
/** A number that crid calculates with: always a bigint. */
const integer = z
  .union([z.bigint(), z.int()], { error: 'expected a whole number' })
  .transform((value) => BigInt(value))
  .optional();
const resources = z
  .looseObject(
    {
      cpu: z
        .looseObject({ shares: integer, quota: integer, period: integer }, { error: 'expected an object' })
        .optional(),
      memory: z.looseObject({ limit: integer, swap: integer }, { error: 'expected an object' }).optional(),
      hugepageLimits: z
        .array(z.looseObject({ limit: integer }, { error: 'expected an object' }), { error: 'expected a list' })
        .optional(),
    },
    { error: 'expected an object' },
  )
  .optional();
const objects = z.array(z.looseObject({}, { error: 'expected an object' }), { error: 'expected a list' }).optional();

/** The part of config.md of the OCI runtime spec that crid relies on. The runtime validates the rest. */
const baseSpecSchema = z.looseObject(
  {
    ociVersion: z.string({ error: 'expected text' }),
    root: object,
    process: object,
    mounts: objects,
    hooks: object,
    annotations: z.record(z.string(), z.string({ error: 'expected text' }), { error: 'expected an object' }).optional(),
    linux: z.looseObject({ resources }, { error: 'expected an object' }).optional(),
  },
  { error: 'expected an object' },
);

const toNumber = (text: string): number | bigint =>
  /^-?\d+$/.test(text) && !isSafeNumber(text) ? BigInt(text) : Number(text);
