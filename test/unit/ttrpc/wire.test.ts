import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RegisterPluginRequest } from '../../../generated/nri/v1alpha1/api.js';
import { Request } from '../../../generated/ttrpc/request.js';
import { encodeFrames, frameParser, MAX_FRAME_BYTES } from '../../../src/ttrpc/trunk-frame.js';
import { encodeMessage, MAX_MESSAGE_BYTES, messageParser, type Message } from '../../../src/ttrpc/ttrpc-message.js';

/** The first bytes of a plugin, recorded from ttrpc v1.2.10 over the multiplexer of NRI v0.12.5. */
const REGISTER_PLUGIN = Buffer.from(
  '000000020000004d000000430000000101000a1c6e72692e706b672e6170692e7631616c706861312e52756e74696d65120e5265676973746572' +
    '506c7567696e1a130a0470656572120231301a0776302e31322e35',
  'hex',
);

const request: Message = { stream: 1, type: 1, flags: 0, data: Buffer.from('hello') };

/** Returns the messages of all connections in these chunks of a trunk. */
function parse(chunks: readonly Buffer[]): { connection: number; message: Message }[] {
  const frames = frameParser();
  const parsers = new Map<number, ReturnType<typeof messageParser>>();
  return chunks.flatMap((chunk) =>
    [...frames(chunk)].flatMap(({ connection, bytes }) => {
      const parser = parsers.get(connection) ?? messageParser();
      parsers.set(connection, parser);
      return [...parser(bytes)].map((message) => ({ connection, message }));
    }),
  );
}

describe('the wire of NRI', () => {
  test("reads and writes the bytes of Go's RegisterPlugin", () => {
    const [found] = parse([REGISTER_PLUGIN]);
    const call = Request.decode(found!.message.data);
    assert.deepEqual(
      {
        ...found,
        message: { ...found!.message, data: { ...call, payload: RegisterPluginRequest.decode(call.payload) } },
      },
      {
        connection: 2,
        message: {
          ...{ stream: 1, type: 1, flags: 0 },
          data: {
            ...{ service: 'nri.pkg.api.v1alpha1.Runtime', method: 'RegisterPlugin', timeout_nano: 0n, metadata: [] },
            payload: { plugin_name: 'peer', plugin_idx: '10', NRI_version: 'v0.12.5' },
          },
        },
      },
    );
    const data = Buffer.from(Request.encode(call).finish());
    assert.deepEqual(Buffer.concat(encodeFrames(2, encodeMessage({ ...found!.message, data }))), REGISTER_PLUGIN);
  });

  test('is read however it is cut into chunks', () => {
    const empty = { ...request, stream: 3, data: Buffer.alloc(0) };
    const large = { ...request, stream: 5, data: Buffer.alloc(10_000, 'x') };
    const all = [request, empty, large].flatMap((message) => encodeFrames(7, encodeMessage(message)));
    const bytes = Buffer.concat([Buffer.from([0, 0, 0, 7, 0, 0, 0, 0]), ...all]);
    const expected = [request, empty, large].map((message) => ({ connection: 7, message }));
    for (const size of [1, 3, 8, 9, 4096, bytes.length]) {
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
        bytes.subarray(at * size, (at + 1) * size),
      );
      assert.deepEqual(parse(chunks), expected, `chunks of ${size} bytes`);
    }
  });

  test("has a message in one frame if Go's buffer holds it, and otherwise the rest in a second frame", () => {
    const lengths = (bytes: number): number[] =>
      encodeFrames(1, Buffer.alloc(bytes)).flatMap((part, index) => (index % 2 === 1 ? [part.length] : []));
    assert.deepEqual(
      [lengths(10), lengths(4096), lengths(4097), lengths(MAX_FRAME_BYTES)],
      [[10], [4096], [4096, 1], [4096, MAX_FRAME_BYTES - 4096]],
    );
  });

  test('refuses a frame or a message that is longer than the limit, before it arrives', () => {
    const header = (first: number, second: number): Buffer => {
      const bytes = Buffer.alloc(10);
      bytes.writeUInt32BE(first, 0);
      bytes.writeUInt32BE(second, 4);
      return bytes;
    };
    const frame = (length: number) => [...frameParser()(header(1, length).subarray(0, 8))];
    const message = (length: number) => [...messageParser()(header(length, 1))];
    assert.deepEqual([frame(MAX_FRAME_BYTES), message(MAX_MESSAGE_BYTES)], [[], []]);
    assert.throws(() => frame(MAX_FRAME_BYTES + 1), /a frame of 4194315 bytes, the maximum is 4194314/);
    assert.throws(() => message(MAX_MESSAGE_BYTES + 1), /a message of 4194305 bytes, the maximum is 4194304/);
  });

  test('holds no more than has arrived of a message', () => {
    const parser = messageParser();
    const before = process.memoryUsage().arrayBuffers;
    const header = encodeMessage({ ...request, data: Buffer.alloc(0) });
    header.writeUInt32BE(MAX_MESSAGE_BYTES, 0);
    const parsers = Array.from({ length: 200 }, messageParser);
    for (const each of [parser, ...parsers]) assert.deepEqual([...each(header)], []);
    for (const each of [parser, ...parsers]) assert.deepEqual([...each(Buffer.alloc(10))], []);
    assert.ok(process.memoryUsage().arrayBuffers - before < 2 ** 24);
  });
});
