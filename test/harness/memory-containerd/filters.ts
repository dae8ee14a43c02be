import { CriError } from '../../../src/base/errors.js';

/** Returns the value of a field of a record, such as `id` or `labels.NAME`; undefined when the record has none. */
export type FieldOf<T> = (record: T, path: readonly string[]) => string | undefined;

/**
 * Whether a record matches one of the filters, or there are none. A filter is a list of selectors, separated by commas,
 * that must all match: `FIELD==VALUE`, `FIELD!=VALUE`, `FIELD~=REGEXP` and `FIELD`, which must be present
 * (https://pkg.go.dev/github.com/containerd/containerd/v2/pkg/filters).
 */
export function matches<T>(filters: readonly string[], record: T, fieldOf: FieldOf<T>): boolean {
  return (
    filters.length === 0 || filters.some((filter) => selectors(filter).every((one) => isMet(one, record, fieldOf)))
  );
}

const SELECTOR = /((?:"[^"]*"|[^",=!~])+)(?:(==|!=|~=)("(?:[^"\\]|\\.)*"|[^,]*))?(?:,|$)/gy;

interface Selector {
  readonly path: readonly string[];
  readonly operator: string | undefined;
  readonly value: string;
}

function selectors(filter: string): Selector[] {
  const found = [...filter.matchAll(SELECTOR)];
  if (found.map(([text]) => text).join('') !== filter) throw new CriError('INVALID_ARGUMENT', `filter ${filter}`);
  return found.map(([, field = '', operator, value = '']) => ({
    path: pathOf(field),
    operator,
    value: unquoted(value),
  }));
}

const pathOf = (field: string): string[] =>
  [...field.matchAll(/"([^"]*)"|[^.]+/g)].map(([text, quoted]) => quoted ?? text);

const unquoted = (value: string): string => (value.startsWith('"') ? (JSON.parse(value) as string) : value);

function isMet<T>({ path, operator, value }: Selector, record: T, fieldOf: FieldOf<T>): boolean {
  const actual = fieldOf(record, path);
  switch (operator) {
    case '==':
      return actual === value;
    case '!=':
      return actual !== value;
    case '~=':
      return actual !== undefined && new RegExp(value).test(actual);
    default:
      return actual !== undefined;
  }
}

/** Returns a field of labels: `labels.NAME`, where the name may have dots. */
export const labelOf = (labels: Readonly<Record<string, string>>, names: readonly string[]): string | undefined =>
  labels[names.join('.')];
