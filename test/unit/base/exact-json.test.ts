import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseExactJson } from '../../../src/base/exact-json.js';

test('integers are exact whatever their length, all other values are as in JSON.parse', () => {
  const values = [
    ['9007199254740991', 9007199254740991],
    ['9007199254740993', 9007199254740993n],
    ['-9223372036854775808', -9223372036854775808n],
    ['18446744073709551615', 18446744073709551615n],
    ['1.5', 1.5],
    ['1e3', 1000],
    ['0.12345678901234567', 0.12345678901234567],
    ['"9007199254740993"', '9007199254740993'],
  ] as const;
  for (const [text, value] of values) {
    assert.deepEqual(parseExactJson(`{"a":[${text}],"b":null}`), { a: [value], b: null });
  }
  for (const broken of ['', '{', '{"a":9007199254740993']) assert.throws(() => parseExactJson(broken), SyntaxError);
});
