/**
 * Scanners for an image's /etc/passwd and /etc/group. They take a file in chunks while it is read. Memory, and time per
 * byte, do not depend on the content of the files.
 */

/** A line of /etc/passwd (passwd(5)): only the fields that decide an identity. */
export interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** A scanner that takes a file in chunks. */
export interface Scan<T> {
  /** Returns false once the rest of the file cannot change the result. */
  take(bytes: Uint8Array): boolean;
  /** Returns the result. No chunk may follow. */
  end(): T;
}

/** The result of a scan of /etc/group (group(5)). */
export interface GroupFindings {
  /** The gid of the requested group; undefined when the group has no entry. */
  readonly gid: number | undefined;
  /** The gids of the groups that list the member, without duplicates and without a group of the member's own name. */
  readonly memberOf: readonly number[];
}

/** The size limit of one field, white space included. Longer names are not found. */
const MAX_FIELD_BYTES = 4_096;
/** NGROUPS_MAX of Linux. The scan keeps one group more, so that the caller can refuse the user. */
export const MAX_GROUPS = 65_536;

/**
 * Finds the first entry of a user, by name or uid. It skips lines that are incomplete or whose ids are not numeric, as
 * the C library does.
 */
export function scanPasswd(
  wanted: { readonly name: string } | { readonly uid: number },
): Scan<PasswdEntry | undefined> {
  const wantedName = 'name' in wanted ? bytesOf(wanted.name) : undefined;
  const wantedUid = 'uid' in wanted ? wanted.uid : undefined;
  let found: PasswdEntry | undefined;
  let name: Uint8Array | undefined;
  let uid: number | undefined;
  return scanFields({
    field(index, field) {
      if (found !== undefined) return;
      if (index === 0) {
        const isWanted = isName(field) && (wantedName === undefined || equals(field, wantedName));
        [name, uid] = [isWanted ? field.slice() : undefined, undefined];
      } else if (index === 2 && name !== undefined) {
        const id = idOf(field);
        uid = wantedUid === undefined || wantedUid === id ? id : undefined;
      } else if (index === 3 && name !== undefined && uid !== undefined) {
        const gid = idOf(field);
        if (gid !== undefined) found = { name: new TextDecoder().decode(name), uid, gid };
      }
    },
    isDone: () => found !== undefined,
    result: () => found,
  });
}

/** Finds the gid of the group `name`, and the groups that list `member`; either may be left out. */
export function scanGroup({
  name = '',
  member = '',
}: {
  name?: string | undefined;
  member?: string | undefined;
}): Scan<GroupFindings> {
  const [wanted, listed] = [bytesOf(name), bytesOf(member)];
  const memberOf = new Set<number>();
  let gid: number | undefined;
  let id: number | undefined;
  let [isValid, isWanted, isOwn] = [false, false, false];
  return scanFields({
    separatesFrom: 3,
    field(index, field) {
      if (index === 0) {
        [isValid, isWanted, isOwn, id] = [isName(field), equals(field, wanted), equals(field, listed), undefined];
      } else if (index === 2 && isValid) {
        id = idOf(field);
        if (isWanted) gid ??= id;
      } else if (index >= 3 && id !== undefined && !isOwn && listed.length > 0 && equals(field, listed)) {
        if (memberOf.size <= MAX_GROUPS) memberOf.add(id);
      }
    },
    isDone: () => false,
    result: () => ({ gid, memberOf: [...memberOf] }),
  });
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

const NEWLINE = 0x0a;
const COLON = 0x3a;
const COMMA = 0x2c;
const SPACE = 0x20;
const HASH = 0x23;

/** The bytes of one field without the white space around it; undefined for a field that is too long. */
type Field = Uint8Array | undefined;

interface FieldHandler<T> {
  /** From the field with this index on, a comma also ends a field. */
  readonly separatesFrom?: number;
  field(index: number, field: Field): void;
  isDone(): boolean;
  result(): T;
}

/** Splits lines into fields at colons. It holds only one field in memory at a time. */
function scanFields<T>({ separatesFrom = Infinity, field, isDone, result }: FieldHandler<T>): Scan<T> {
  const held = new Uint8Array(MAX_FIELD_BYTES);
  let length = 0;
  let index = 0;
  const endField = (): void => {
    field(index, length > MAX_FIELD_BYTES ? undefined : trimmed(held, length, index > 0));
    length = 0;
    index += 1;
  };
  const take = (bytes: Uint8Array): boolean => {
    for (let at = 0; at < bytes.length; at += 1) {
      const byte = bytes[at]!;
      if (byte === NEWLINE) {
        if (length > 0 || index > 0) endField();
        index = 0;
      } else if (byte === COLON || (byte === COMMA && index >= separatesFrom)) {
        endField();
      } else {
        if (length < MAX_FIELD_BYTES) held[length] = byte;
        length += 1;
      }
    }
    return !isDone();
  };
  return {
    take,
    end() {
      take(LAST_LINE_END);
      return result();
    },
  };
}

const LAST_LINE_END = Uint8Array.of(NEWLINE);

/** Trims white space. A name keeps the white space before its colon, as in the C library. */
function trimmed(bytes: Uint8Array, length: number, atEnd: boolean): Uint8Array {
  let [start, end] = [0, length];
  while (start < end && bytes[start]! <= SPACE) start += 1;
  while (atEnd && end > start && bytes[end - 1]! <= SPACE) end -= 1;
  return bytes.subarray(start, end);
}

/** False for an empty name, for a name that is too long and for a comment line. */
const isName = (field: Field): field is Uint8Array => field !== undefined && field.length > 0 && field[0] !== HASH;

const MAX_DIGITS = 10;
const ZERO = 0x30;
const NINE = 0x39;

function idOf(field: Field): number | undefined {
  if (field === undefined || field.length === 0 || field.length > MAX_DIGITS) return undefined;
  let id = 0;
  for (const digit of field) {
    if (digit < ZERO || digit > NINE) return undefined;
    id = id * 10 + digit - ZERO;
  }
  return id;
}

const equals = (field: Field, bytes: Uint8Array): boolean =>
  field !== undefined && field.length === bytes.length && bytes.every((byte, at) => byte === field[at]);
