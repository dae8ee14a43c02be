import { CriError, invalidArgument, isCode } from '../base/errors.js';

/** For deletions: gone already is as good as deleted. */
export async function unlessGone<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (thrown) {
    if (isCode(thrown, 'NOT_FOUND')) return undefined;
    throw thrown;
  }
}

/**
 * Refuses the update masks with which containerd does other than they say: an empty one replaces every field, and an
 * extension that is named but not given is stored as a nil Any, which later reads stumble over.
 */
export function checkFields(
  method: string,
  fields: readonly string[],
  extensions: Readonly<Record<string, unknown>> | undefined,
): void {
  if (fields.length === 0) throw invalidArgument(`${method}: fields`, 'names no field to change');
  for (const field of fields) {
    const key = /^extensions\.(.+)$/.exec(field)?.[1];
    if (key !== undefined && extensions?.[key] === undefined) {
      throw invalidArgument(`${method}: ${field}`, 'named for update but not given');
    }
  }
}

/** The record in an answer. containerd always sends one; a proxy plugin that does not is named. */
export function present<T>(record: T | undefined, method: string): T {
  if (record === undefined) throw new CriError('INTERNAL', `${method}: containerd answered without a record`);
  return record;
}

/** Whether a call was done, and only its answer is larger than gRPC takes. A full disk has the same code. */
export const isAnswerTooLarge = (thrown: unknown): boolean =>
  isCode(thrown, 'RESOURCE_EXHAUSTED') && /message larger than max/.test(thrown.message);
