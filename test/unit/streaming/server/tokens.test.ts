import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTokens } from '../../../../src/streaming/server/tokens.js';

const LIFETIME_MS = 60_000;

function setUp(limit = 3) {
  const clock = { nowMs: 0 };
  return { clock, tokens: createTokens<string>({ limit, lifetimeMs: LIFETIME_MS, now: () => clock.nowMs }) };
}

test('a token is valid once', () => {
  const { tokens } = setUp();
  const [one, two] = [tokens.issue('one'), tokens.issue('two')];
  assert.match(one, /^[\w-]{43}$/);
  assert.deepEqual(
    [tokens.redeem(two), tokens.redeem(one), tokens.redeem(one), tokens.redeem(two)],
    ['two', 'one', undefined, undefined],
  );
});

test('a token is valid for its lifetime', () => {
  const { tokens, clock } = setUp();
  const [first, second] = [tokens.issue('first'), tokens.issue('second')];
  clock.nowMs = LIFETIME_MS - 1;
  assert.equal(tokens.redeem(first), 'first');
  clock.nowMs = LIFETIME_MS;
  assert.equal(tokens.redeem(second), undefined);
});

test('an invalid token is refused', () => {
  const { tokens } = setUp();
  const token = tokens.issue('value');
  for (const wrong of ['', 'x', token.slice(1), `${token}A`, 'A'.repeat(43)]) {
    assert.equal(tokens.redeem(wrong), undefined, wrong);
  }
  assert.equal(tokens.redeem(token), 'value');
});

test('too many at once are refused, until some are used or expired', () => {
  const { tokens, clock } = setUp(2);
  const first = tokens.issue('1');
  tokens.issue('2');
  assert.throws(() => tokens.issue('3'), { code: 'RESOURCE_EXHAUSTED' });
  tokens.redeem(first);
  tokens.issue('3');
  assert.throws(() => tokens.issue('4'), { code: 'RESOURCE_EXHAUSTED' });
  clock.nowMs = LIFETIME_MS;
  tokens.issue('4');
});
