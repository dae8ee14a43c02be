import { setImmediate as nextTurn } from 'node:timers/promises';
import { CriError } from '../base/errors.js';

/**
 * Selects the parts of a JSON document to keep. Everything else is skipped byte by byte and never becomes a value.
 * `text` is a string, `texts` a list of strings, `keys` the keys of an object, `number` a number, `fields` the named
 * fields of an object, `under` the strings of an object whose keys begin with that text, `each` a list. null and
 * missing fields are left out of the result.
 */
export type Shape =
  | 'text'
  | 'texts'
  | 'keys'
  | 'number'
  | { readonly fields: Readonly<Record<string, Shape>> }
  | { readonly under: string }
  | { readonly each: Shape };

export interface JsonBounds {
  readonly maxBytes: number;
  /** The limit on what is kept: the bytes of its strings, and `VALUE_BYTES` for each string, list item and field. */
  readonly maxKeptBytes: number;
}

/** About the memory that a value takes beside its text. */
const VALUE_BYTES = 32;
/** pickJson yields to the event loop between pieces of this size: about every millisecond. */
const PIECE_BYTES = 256 << 10;
/** The longest name of a kept field, and the longest number. */
const MAX_NAME_BYTES = 256;

export interface Picked {
  readonly value: object;
  readonly keptBytes: number;
}

/**
 * Parses a JSON object while it arrives. DATA_LOSS: it is not JSON, or a kept field has the wrong type;
 * RESOURCE_EXHAUSTED: the document, or what is kept of it, exceeds `bounds`.
 */
export async function pickJson(
  chunks: AsyncIterable<Uint8Array>,
  shape: { readonly fields: Readonly<Record<string, Shape>> },
  bounds: JsonBounds,
): Promise<Picked> {
  const reader: Reader = { piece: new Uint8Array(), at: 0, ended: false, keptBytes: 0, bounds };
  const reading = readValue(reader, shape, '');
  let state = reading.next();
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > bounds.maxBytes) throw exhausted(`it is larger than ${bounds.maxBytes} bytes`);
    for (let start = 0; start < chunk.length && !state.done; start += PIECE_BYTES) {
      if (start > 0) await nextTurn();
      reader.piece = chunk.subarray(start, start + PIECE_BYTES);
      reader.at = 0;
      state = reading.next();
    }
  }
  reader.ended = true;
  if (!state.done) state = reading.next();
  if (!state.done || typeof state.value !== 'object' || !state.value)
    throw new CriError('DATA_LOSS', 'it is not a JSON object');
  return { value: state.value, keptBytes: reader.keptBytes };
}

interface Reader {
  piece: Uint8Array;
  at: number;
  ended: boolean;
  keptBytes: number;
  readonly bounds: JsonBounds;
}

/** A parser that yields when it needs the next piece. */
type Reading<T> = Generator<void, T, void>;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const NULL = 0x6e;

const exhausted = (problem: string): CriError => new CriError('RESOURCE_EXHAUSTED', problem);

function* readValue(reader: Reader, shape: Shape, path: string): Reading<unknown> {
  const first = yield* nextToken(reader);
  if (first === NULL) {
    yield* skipValue(reader);
    return undefined;
  }
  if (shape === 'text') return yield* readText(reader, first, path);
  if (shape === 'number') return yield* readNumber(reader, path);
  if (shape === 'texts') return yield* readList(reader, first, 'text', path);
  if (shape === 'keys') return yield* readObject(reader, first, path, undefined);
  if ('each' in shape) return yield* readList(reader, first, shape.each, path);
  if ('under' in shape) {
    const isUnder = (key: string): Shape | undefined => (key.startsWith(shape.under) ? 'text' : undefined);
    return yield* readObject(reader, first, path, isUnder);
  }
  const { fields } = shape;
  return yield* readObject(reader, first, path, (key) => (Object.hasOwn(fields, key) ? fields[key] : undefined));
}

function* readList(reader: Reader, first: number, shape: Shape, path: string): Reading<unknown[]> {
  if (first !== OPEN_LIST) throw wrongType(path, 'a list');
  reader.at++;
  const items: unknown[] = [];
  while ((yield* nextToken(reader)) !== CLOSE_LIST) {
    keep(reader, VALUE_BYTES, path);
    const item = yield* readValue(reader, shape, path);
    if (item !== undefined) items.push(item);
    yield* separator(reader, CLOSE_LIST);
  }
  reader.at++;
  return items;
}

/** Without `shapeOf`, keeps every key and no value. */
function* readObject(
  reader: Reader,
  first: number,
  path: string,
  shapeOf: ((key: string) => Shape | undefined) | undefined,
): Reading<object> {
  if (first !== OPEN) throw wrongType(path, 'an object');
  reader.at++;
  const found = new Map<string, unknown>();
  for (let token = yield* nextToken(reader); token !== CLOSE; token = yield* nextToken(reader)) {
    const key = shapeOf ? yield* readName(reader, token) : yield* readText(reader, token, path);
    if ((yield* nextToken(reader)) !== COLON) throw noJson();
    reader.at++;
    const shape = shapeOf?.(key);
    if (shape === undefined) {
      yield* nextToken(reader);
      yield* skipValue(reader);
      if (!shapeOf) found.set(key, {});
    } else {
      keep(reader, VALUE_BYTES, path);
      const value = yield* readValue(reader, shape, path === '' ? key : `${path}.${key}`);
      if (value !== undefined) found.set(key, value);
    }
    yield* separator(reader, CLOSE);
  }
  reader.at++;
  return Object.fromEntries(found);
}

/** Consumes a comma, not the closing bracket. */
function* separator(reader: Reader, close: number): Reading<void> {
  const token = yield* nextToken(reader);
  if (token === COMMA) reader.at++;
  else if (token !== close) throw noJson();
}

function* readText(reader: Reader, first: number, path: string): Reading<string> {
  if (first !== QUOTE) throw wrongType(path, 'a string');
  keep(reader, VALUE_BYTES, path);
  return unquoted(yield* readString(reader, (bytes) => keep(reader, bytes, path)));
}

/** Returns "" for a name longer than that of any kept field. */
function* readName(reader: Reader, first: number): Reading<string> {
  if (first !== QUOTE) throw noJson();
  let bytes = 0;
  const pieces = yield* readString(reader, (more) => (bytes += more) <= MAX_NAME_BYTES);
  return bytes > MAX_NAME_BYTES ? '' : unquoted(pieces);
}

/** Reads the bytes between the quotes and drops the pieces for which `take` returns false. */
function* readString(reader: Reader, take: (bytes: number) => boolean): Reading<Uint8Array[]> {
  reader.at++;
  const pieces: Uint8Array[] = [];
  let escaped = false;
  for (;;) {
    const { piece } = reader;
    const start = reader.at;
    let end = start;
    for (; end < piece.length && (escaped || piece[end] !== QUOTE); end++)
      escaped = !escaped && piece[end] === BACKSLASH;
    if (take(end - start)) pieces.push(piece.slice(start, end));
    reader.at = end + 1;
    if (end < piece.length) return pieces;
    yield* more(reader);
  }
}

function unquoted(pieces: readonly Uint8Array[]): string {
  const text = Buffer.concat(pieces).toString();
  if (!/[\\\p{Cc}]/u.test(text)) return text;
  try {
    return JSON.parse(`"${text}"`) as string;
  } catch {
    throw noJson();
  }
}

function* readNumber(reader: Reader, path: string): Reading<number> {
  let text = '';
  for (;;) {
    while (reader.at < reader.piece.length) {
      const byte = reader.piece[reader.at] ?? 0;
      if (!isNumeric(byte) || text.length > MAX_NAME_BYTES) {
        const value = Number(text);
        if (text === '' || Number.isNaN(value)) throw wrongType(path, 'a number');
        return value;
      }
      text += String.fromCharCode(byte);
      reader.at++;
    }
    yield* more(reader);
  }
}

const isNumeric = (byte: number): boolean =>
  (byte >= 0x30 && byte <= 0x39) || byte === 0x2b || byte === 0x2d || byte === 0x2e || byte === 0x65 || byte === 0x45;

/** Skips one value of any type and depth. */
function* skipValue(reader: Reader): Reading<void> {
  let depth = 0;
  let inString = false;
  let escaped = false;
  for (;;) {
    const { piece } = reader;
    for (let at = reader.at; at < piece.length; at++) {
      const byte = piece[at];
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) inString = false;
        if (inString || depth > 0) continue;
        reader.at = at + 1;
        return;
      }
      if (byte === QUOTE) inString = true;
      else if (byte === OPEN || byte === OPEN_LIST) depth++;
      else if (byte === CLOSE || byte === CLOSE_LIST || (byte === COMMA && depth === 0)) {
        // A number or a literal ends before the next delimiter.
        reader.at = depth === 0 ? at : at + 1;
        if (depth === 0 || --depth === 0) return;
      }
    }
    yield* more(reader);
  }
}

/** Returns the next byte that is not white space, without consuming it. */
function* nextToken(reader: Reader): Reading<number> {
  for (;;) {
    while (reader.at < reader.piece.length) {
      const byte = reader.piece[reader.at] ?? 0;
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte;
      reader.at++;
    }
    yield* more(reader);
  }
}

function* more(reader: Reader): Reading<void> {
  if (reader.ended) throw noJson();
  yield;
  if (reader.ended) throw noJson();
}

function keep(reader: Reader, bytes: number, path: string): true {
  reader.keptBytes += bytes;
  const { maxKeptBytes } = reader.bounds;
  if (reader.keptBytes > maxKeptBytes) throw exhausted(`it has more than ${maxKeptBytes} bytes up to "${path}"`);
  return true;
}

const noJson = (): CriError => new CriError('DATA_LOSS', 'it is not JSON');
const wrongType = (path: string, wanted: string): CriError =>
  path === ''
    ? new CriError('DATA_LOSS', 'it is not a JSON object')
    : new CriError('DATA_LOSS', `"${path}" is not ${wanted}`);
