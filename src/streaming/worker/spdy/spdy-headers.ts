import { constants, inflateRawSync } from 'node:zlib';
import { SPDY_DICTIONARY, SPDY_DICTIONARY_ID } from './spdy-dictionary.js';
import { SpdyError } from './spdy-frames.js';

/** Headers by lower-case name. Several values of one name are joined by NUL, as in the protocol. */
export type SpdyHeaders = ReadonlyMap<string, string>;

/**
 * Reads the header blocks of one connection in their order, because they form one zlib stream. Each block ends with a
 * sync flush, so it can be inflated at once against the last 32 KiB of the output before it.
 */
export function createHeaderReader(): (block: Buffer) => SpdyHeaders {
  let window = SPDY_DICTIONARY;
  let begun = false;

  return (block) => {
    const deflated = begun ? block : withoutZlibHeader(block);
    begun = true;
    if (deflated.length === 0) throw new SpdyError('spdy header block is empty');
    const plain = inflate(deflated, window);
    window = Buffer.concat([window, plain]).subarray(-WINDOW_BYTES);
    return parseHeaders(plain);
  };
}

/**
 * Writes the header blocks of one connection. They are stored, not compressed, and each is followed by an empty stored
 * block: a reader that expects a sync flush (Go's) would otherwise wait for ever.
 */
export function createHeaderWriter(): (headers: SpdyHeaders) => Buffer {
  let begun = false;

  return (headers) => {
    const plain = encodeHeaders(headers);
    const stored = Buffer.alloc(5);
    stored.writeUInt16LE(plain.length, 1);
    stored.writeUInt16LE(~plain.length & 0xffff, 3);
    const block = Buffer.concat([...(begun ? [] : [ZLIB_HEADER]), stored, plain, EMPTY_STORED]);
    begun = true;
    return block;
  };
}

const WINDOW_BYTES = 32 * 1024;
const MAX_PLAIN_BYTES = 64 * 1024;
const MAX_HEADERS = 64;
const EMPTY_STORED = Buffer.from([0, 0, 0, 0xff, 0xff]);
// RFC 1950: deflate with a 32 KiB window and a preset dictionary, whose Adler-32 follows.
const ZLIB_HEADER = Buffer.from([0x78, 0x20, 0, 0, 0, 0]);
ZLIB_HEADER.writeUInt32BE(SPDY_DICTIONARY_ID, 2);

function withoutZlibHeader(block: Buffer): Buffer {
  if (block.length < 6 || (block.readUInt8(0) & 0x0f) !== 8 || block.readUInt16BE(0) % 31 !== 0) {
    throw new SpdyError('spdy header block is not a zlib stream');
  }
  if ((block.readUInt8(1) & 0x20) === 0) return block.subarray(2);
  if (block.readUInt32BE(2) !== SPDY_DICTIONARY_ID) throw new SpdyError('spdy header block names another dictionary');
  return block.subarray(6);
}

function inflate(deflated: Buffer, dictionary: Buffer): Buffer {
  try {
    return inflateRawSync(deflated, {
      dictionary,
      finishFlush: constants.Z_SYNC_FLUSH,
      maxOutputLength: MAX_PLAIN_BYTES,
    });
  } catch (thrown) {
    throw new SpdyError(`spdy header block cannot be inflated: ${(thrown as Error).message}`);
  }
}

function parseHeaders(plain: Buffer): SpdyHeaders {
  const headers = new Map<string, string>();
  let at = 0;
  const number = (): number => {
    if (at + 4 > plain.length) throw new SpdyError('spdy header block is cut off');
    at += 4;
    return plain.readUInt32BE(at - 4);
  };
  const text = (): string => {
    const length = number();
    if (length > plain.length - at) throw new SpdyError('spdy header block is cut off');
    at += length;
    return plain.toString('latin1', at - length, at);
  };
  const count = number();
  if (count > MAX_HEADERS) throw new SpdyError(`spdy header block of ${count} headers`);
  for (let index = 0; index < count; index += 1) headers.set(text().toLowerCase(), text());
  return headers;
}

function encodeHeaders(headers: SpdyHeaders): Buffer {
  const number = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return bytes;
  };
  const texts = [...headers].flat().map((text) => Buffer.from(text, 'latin1'));
  return Buffer.concat([number(headers.size), ...texts.flatMap((text) => [number(text.length), text])]);
}
