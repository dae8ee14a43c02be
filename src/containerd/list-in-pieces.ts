import { CriError, isCode } from '../base/errors.js';

/** The records of a list, and those that no response could carry. */
export interface Pieces<T> {
  readonly records: readonly T[];
  /** `prefix`: the first digits of the unreadable records' values, or "" when no record could be read. */
  readonly unreadable: readonly { readonly prefix: string; readonly error: CriError }[];
}

export interface PiecesOptions {
  /** The field of containerd's filter syntax that is split: `id`, `target.digest`. Its values are hexadecimal. */
  readonly field: string;
  /** The text before the digits of all values, such as `sha256:`. */
  readonly before?: string;
}

/** Six digits nearly identify a record: of 1,000 records, one shares them with another at a chance of 1 in 16,000. */
const MAX_DIGITS = 6;
const HEX = '0123456789abcdef';

/**
 * Lists all records. containerd refuses to send more than 16 MiB: a unary list fails as a whole, a stream fails at one
 * large record. On RESOURCE_EXHAUSTED the list is split by the field's digits, down to the records that cannot be sent.
 */
export async function listInPieces<T>(
  list: (filters: readonly string[]) => Promise<readonly T[]>,
  { field, before = '' }: PiecesOptions,
): Promise<Pieces<T>> {
  const piece = async (prefix: string, digits: string, filters: readonly string[]): Promise<Pieces<T>> => {
    try {
      return { records: await list(filters), unreadable: [] };
    } catch (thrown) {
      if (!isCode(thrown, 'RESOURCE_EXHAUSTED')) throw thrown;
      const halves = split(prefix, digits);
      if (halves.length === 0) {
        const narrowed = digits.length === 1 ? prefix + digits : prefix;
        return { records: [], unreadable: [{ prefix: narrowed, error: CriError.from(thrown) }] };
      }
      return join(await Promise.all(halves.map((half) => piece(half.prefix, half.digits, [filterOf(half)]))));
    }
  };
  const filterOf = (half: { prefix: string; digits: string }): string =>
    half.digits === ''
      ? `${field}~="^${before}${half.prefix}([^0-9a-f]|$)"`
      : `${field}~="^${before}${half.prefix}[${half.digits}]"`;

  try {
    return { records: await list([]), unreadable: [] };
  } catch (thrown) {
    if (!isCode(thrown, 'RESOURCE_EXHAUSTED')) throw thrown;
  }
  return join(
    await Promise.all([
      piece('', HEX.slice(0, 8), [filterOf({ prefix: '', digits: HEX.slice(0, 8) })]),
      piece('', HEX.slice(8), [filterOf({ prefix: '', digits: HEX.slice(8) })]),
      piece('', '', [filterOf({ prefix: '', digits: '' })]),
    ]),
  );
}

/** Halves the digits that may follow the prefix; a single digit joins the prefix. Empty when it cannot be split. */
function split(prefix: string, digits: string): { prefix: string; digits: string }[] {
  if (digits === '') return [];
  if (digits.length > 1) {
    const middle = digits.length / 2;
    return [
      { prefix, digits: digits.slice(0, middle) },
      { prefix, digits: digits.slice(middle) },
    ];
  }
  const longer = prefix + digits;
  if (longer.length >= MAX_DIGITS) return [];
  return [
    { prefix: longer, digits: HEX.slice(0, 8) },
    { prefix: longer, digits: HEX.slice(8) },
    { prefix: longer, digits: '' },
  ];
}

const join = <T>(pieces: readonly Pieces<T>[]): Pieces<T> => ({
  records: pieces.flatMap(({ records }) => records),
  unreadable: pieces.flatMap(({ unreadable }) => unreadable),
});
