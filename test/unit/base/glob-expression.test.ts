import assert from 'node:assert/strict';
import { test } from 'node:test';
import { globExpression } from '../../../src/base/glob-expression.js';

/** Patterns, a text, and what Go's path.Match says of it; undefined: the pattern is malformed. */
const CASES: readonly (readonly [pattern: string, text: string, matches: boolean | undefined])[] = [
  ['a*', 'abc', true],
  ['a*', 'a/b', false],
  ['a?', 'ab', true],
  ['?', '/', false],
  ['?', '😀', true],
  ['*', 'a\nb', true],
  ['x.y', 'xzy', false],
  ['\\*', '*', true],
  ['\\*', 'a', false],
  ['[a-c]x', 'bx', true],
  ['[^a-c]x', 'bx', false],
  ['[^a-c]x', 'dx', true],
  ['[^x]', '/', true],
  ['[\\]]', ']', true],
  ['[[]', '[', true],
  ['[&~]', '&', true],
  ['[a\\-c]', 'b', false],
  ['[a\\-c]', '-', true],
  ['[]a]', 'a', undefined],
  ['[]', 'a', undefined],
  ['[a', 'a', undefined],
  ['a\\', 'a', undefined],
];

for (const [pattern, text, matches] of CASES)
  test(`${JSON.stringify(pattern)} and ${JSON.stringify(text)}: as Go's path.Match`, () => {
    assert.equal(globExpression(pattern)?.test(text), matches);
  });
