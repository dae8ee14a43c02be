import assert from 'node:assert/strict';
import { test } from 'node:test';
import { currentContext, withContext } from '../../../src/base/context.js';
import { withResolvers } from '../../../src/base/async.js';
import { createExits } from '../../../src/events/exits.js';
import type { Exit } from '../../../src/containerd/containerd.js';
import { silent } from '../containerd/fake-containerd.js';

test('a watch that a request begins is no part of the request, and neither is the handling of the exit', async () => {
  const handled = withResolvers<string | undefined>();
  const exits = createExits({
    containerd: { tasks: new Proxy({}, {}) as never },
    log: silent,
    onExit: async () => handled.resolve(currentContext()?.requestId),
    logKey: (id) => ({ container: id }),
    takeTask: () => Promise.resolve(),
  });
  const ended = withResolvers<Exit>();
  const watching = withResolvers<string | undefined>();
  withContext({ requestId: 'start', log: silent }, () =>
    exits.watch('c', () => {
      watching.resolve(currentContext()?.requestId);
      return ended.promise;
    }),
  );
  assert.equal(await watching.promise, undefined);
  ended.resolve({ exitStatus: 0, exitedAtNs: 1n });
  assert.equal(await handled.promise, undefined);
  exits.close();
});
