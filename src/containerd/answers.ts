import { CriError, invalidArgument, isCode } from '../base/errors.js';

/** For deletions: returns undefined on NOT_FOUND, since an object that is already gone counts as deleted. */
export async function unlessGone<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (thrown) {
    if (isCode(thrown, 'NOT_FOUND')) return undefined;
    throw thrown;
  }
}

/**
 * Refuses update masks that containerd does not follow literally: an empty mask replaces every field, and an extension
 * that is named but missing is stored as a nil Any, on which later reads fail.
 */
export function checkFields(
  method: string,
  fields: readonly string[],
  extensions: Readonly<Record<string, unknown>> | undefined,
): void {
  if (fields.length === 0) throw invalidArgument(`${method}: fields`, 'must name a field to update');
  for (const field of fields) {
    const key = /^extensions\.(.+)$/.exec(field)?.[1];
    if (key !== undefined && extensions?.[key] === undefined) {
      throw invalidArgument(`${method}: ${field}`, 'is to be updated but has no value');
    }
  }
}

/** Returns the record of a response. INTERNAL names the method of a proxy plugin that does not send one. */
export function present<T>(record: T | undefined, method: string): T {
  if (record === undefined) throw new CriError('INTERNAL', `${method}: containerd answered without a record`);
  return record;
}

/** Whether a call succeeded and only its response exceeds gRPC's limit. A full disk has the same code. */
export const isAnswerTooLarge = (thrown: unknown): boolean =>
  isCode(thrown, 'RESOURCE_EXHAUSTED') && /message larger than max/.test(thrown.message);
