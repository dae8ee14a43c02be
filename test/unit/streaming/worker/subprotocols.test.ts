import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  commandOverSpdy,
  commandOverWebSocket,
  forwardOverSpdy,
  forwardOverWebSocket,
} from '../../../../src/streaming/worker/subprotocols.js';

const V = (version: number, base64 = false) =>
  `${version === 1 ? '' : `v${version}.`}${base64 ? 'base64.' : ''}channel.k8s.io`;

test('a command over a WebSocket: every version, in binary and in base64, the first that the client names', () => {
  for (const version of [1, 2, 3, 4, 5]) {
    for (const base64 of [false, true]) {
      const name = V(version, base64);
      assert.deepEqual(commandOverWebSocket(['v9.channel.k8s.io', name, V(4)]), { name, version, base64 });
    }
  }
  assert.deepEqual(commandOverWebSocket([]), { name: '', version: 1, base64: false });
  for (const name of ['v6.channel.k8s.io', 'v1.channel.k8s.io', 'SPDY/3.1+portforward.k8s.io', 'x']) {
    assert.equal(commandOverWebSocket([name]), undefined, name);
  }
});

test('a command over SPDY: versions 4 to 1, and the client has to name one', () => {
  assert.deepEqual(commandOverSpdy([V(5), V(4), V(3)]), { name: V(4), version: 4, base64: false });
  assert.deepEqual(commandOverSpdy([V(1)]), { name: V(1), version: 1, base64: false });
  for (const asked of [[], [V(5)], [V(4, true)]]) assert.equal(commandOverSpdy(asked), undefined);
});

test('port-forward: channels or a tunnel over a WebSocket, one protocol over SPDY', () => {
  const [tunnel, of130] = ['SPDY/3.1+portforward.k8s.io', 'v2.portforward.k8s.io'];
  assert.deepEqual(
    [[tunnel, V(4)], [of130], [V(4)], [V(4, true)], [V(5)], [], ['portforward.k8s.io']].map(forwardOverWebSocket),
    [
      { name: tunnel, kind: 'tunnel' },
      { name: of130, kind: 'tunnel' },
      { name: V(4), kind: 'channels', base64: false },
      { name: V(4, true), kind: 'channels', base64: true },
      { name: V(5), kind: 'channels', base64: false },
      { name: '', kind: 'channels', base64: false },
      undefined,
    ],
  );
  assert.deepEqual(forwardOverSpdy(['x', 'portforward.k8s.io']), { name: 'portforward.k8s.io' });
  assert.equal(forwardOverSpdy([V(4)]), undefined);
});
