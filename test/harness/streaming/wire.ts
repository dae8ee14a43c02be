/** The client's side of the protocols, as bytes. */
import { randomBytes } from 'node:crypto';
import { constants, deflateSync, createDeflate, type Deflate } from 'node:zlib';
import { SPDY_DICTIONARY } from '../../../src/streaming/worker/spdy/spdy-dictionary.js';
import { controlFrame, CONTROL } from '../../../src/streaming/worker/spdy/spdy-frames.js';

/** A masked frame. */
export function webSocketFrame(opcode: number, payload: Uint8Array | string, fin = true): Buffer {
  const bytes = Buffer.from(payload as string);
  const length =
    bytes.length < 126
      ? Buffer.from([0x80 | bytes.length])
      : bytes.length < 65_536
        ? Buffer.from([0x80 | 126, bytes.length >> 8, bytes.length & 0xff])
        : Buffer.concat([Buffer.from([0x80 | 127]), bigLength(bytes.length)]);
  const mask = randomBytes(4);
  const masked = Buffer.from(bytes);
  for (let at = 0; at < masked.length; at += 1) masked[at]! ^= mask[at & 3]!;
  return Buffer.concat([Buffer.from([(fin ? 0x80 : 0) | opcode]), length, mask, masked]);
}

function bigLength(length: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(length));
  return bytes;
}

/** Compresses header blocks as Go's client does: one zlib stream, a sync flush after each block. */
export function headerDeflater(): (headers: Record<string, string>) => Promise<Buffer> {
  const stream: Deflate = createDeflate({ dictionary: SPDY_DICTIONARY });
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  return (headers) =>
    new Promise((resolve) => {
      stream.write(plainHeaders(headers));
      stream.flush(constants.Z_SYNC_FLUSH, () => resolve(Buffer.concat(chunks.splice(0))));
    });
}

/** Compresses the first header block of a connection in one call. */
export const firstHeaderBlock = (plain: Buffer): Buffer =>
  deflateSync(plain, { dictionary: SPDY_DICTIONARY, finishFlush: constants.Z_SYNC_FLUSH });

export function plainHeaders(headers: Record<string, string>): Buffer {
  const number = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return bytes;
  };
  const entries = Object.entries(headers);
  return Buffer.concat([
    number(entries.length),
    ...entries.flat().flatMap((text) => [number(text.length), Buffer.from(text)]),
  ]);
}

export const synStream = (id: number, block: Buffer, flags = 0): Buffer =>
  controlFrame(CONTROL.synStream, flags, id, 0, Buffer.alloc(2), block);

/** Cuts bytes into pieces of random sizes; some are empty. */
export function* pieces(bytes: Buffer, random: () => number, maxBytes = 9): Generator<Buffer> {
  for (let at = 0; at < bytes.length;) {
    const size = Math.floor(random() * (maxBytes + 1));
    yield Buffer.from(bytes.subarray(at, at + size));
    at += size;
  }
}

/** Returns a generator of numbers in [0, 1) that gives the same sequence for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

export function randomBuffer(length: number, random: () => number): Buffer {
  return Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
}
