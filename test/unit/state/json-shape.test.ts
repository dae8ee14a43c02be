import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pickJson } from '../../../src/state/json-shape.js';

const SHAPE = {
  fields: {
    name: 'text',
    size: 'number',
    list: 'texts',
    paths: 'keys',
    in: { fields: { name: 'text' } },
    each: { each: { fields: { size: 'number' } } },
    under: { under: 'a/' },
  },
} as const;
const BOUNDS = { maxBytes: 64 << 20, maxKeptBytes: 4096 };

async function* pieces(text: string, bytes: number): AsyncIterable<Uint8Array> {
  const all = Buffer.from(text);
  for (let at = 0; at < all.length; at += bytes) yield await Promise.resolve(all.subarray(at, at + bytes));
}

const pick = async (text: string, bytes = 1, bounds = BOUNDS): Promise<unknown> =>
  (await pickJson(pieces(text, bytes), SHAPE, bounds)).value;

test('the fields of the shape are kept and all others skipped, however the bytes arrive', async () => {
  const text = `
    { "x": [{"a":[1,"}]\\"",null]},{}], "name" : "a\\"b\\\\ü\\u00e9", "y": -1.5e3, "z": true,"size":12,
      "list":["", "b"], "paths": {"/a":{"deep":[{}]},"/b":null}, "in":{"other":"x","name":"in"},
      "each":[{"size":1,"x":"y"},{}], "under":{"a/b":"1","c":2,"a/":"3"}, "constructor": {}, "__proto__": {"name": "no"} }  `;
  const wanted = {
    name: 'a"b\\üé',
    size: 12,
    list: ['', 'b'],
    paths: { '/a': {}, '/b': {} },
    in: { name: 'in' },
    each: [{ size: 1 }, {}],
    under: { 'a/b': '1', 'a/': '3' },
  };
  for (const bytes of [1, 2, 3, 5, 1000]) assert.deepEqual(await pick(text, bytes), wanted);
  assert.deepEqual(await pick('{"name":null,"list":null,"in":null}'), {});
});

test('a text that is not JSON or has another type is refused by name', async () => {
  const refused: [string, RegExp][] = [
    ['', /not (a )?JSON/],
    ['[]', /not a JSON object/],
    ['null', /not (a )?JSON/],
    ['{"name":"a"', /not (a )?JSON/],
    ['{"name" "a"}', /not (a )?JSON/],
    ['{"name":"a" "size":1}', /not (a )?JSON/],
    ['{"name":5}', /"name" is not a string/],
    ['{"list":"a"}', /"list" is not a list/],
    ['{"list":[{}]}', /"list" is not a string/],
    ['{"in":{"name":[]}}', /"in.name" is not a string/],
    ['{"under":{"a/b":1}}', /"under.a\/b" is not a string/],
    ['{"paths":[]}', /"paths" is not an object/],
    ['{"size":"1"}', /"size" is not a number/],
  ];
  for (const [text, problem] of refused)
    await assert.rejects(pick(text), { code: 'DATA_LOSS', message: problem }, text);
});

test('limits: all bytes, and the kept bytes', async () => {
  const bounds = { maxBytes: 40, maxKeptBytes: 100 };
  const exactly = `{"x":"${'x'.repeat(32)}"}`;
  assert.deepEqual(await pick(exactly, 7, bounds), {});
  await assert.rejects(pick(`${exactly} `, 7, bounds), { code: 'RESOURCE_EXHAUSTED', message: /larger than 40 bytes/ });
  const kept = (bytes: number) => pick(`{"name":"${'x'.repeat(bytes)}"}`, 50, { ...bounds, maxBytes: 1000 });
  await kept(100 - 64);
  await assert.rejects(kept(101 - 64), { code: 'RESOURCE_EXHAUSTED', message: /more than 100 bytes up to "name"/ });
});

test('8 MiB of objects in an unknown field are skipped, and other work runs meanwhile', async () => {
  const text = `{"x":[${'{},'.repeat((8 << 20) / 3)}{}],"name":"a"}`;
  let turns = 0;
  const count = (): void => void (timer = setImmediate(() => (turns++, count())));
  let timer: NodeJS.Immediate | undefined;
  count();
  assert.deepEqual(await pick(text, 1 << 20), { name: 'a' });
  clearImmediate(timer);
  assert.ok(turns >= 24, `${turns} turns of the event loop`);
});
