import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { startCrid, type Crid, type CridOptions } from '../../harness/crid.js';
import { criClient, type CriClient } from '../../harness/cri-client.js';
import { pullImage, removeAllPods } from '../../harness/pod.js';
import { startStack, testStack, type Stack } from '../../harness/test-stack.js';

/** A containerd with its own CRI plugin, and crid on the same containerd. */
export interface Beside {
  readonly stack: Stack;
  readonly crid: Crid;
  /** A client of containerd's own CRI. */
  readonly plugin: CriClient;
}

export function startBeside(options: (stack: Stack) => CridOptions): Beside {
  let made: Beside | undefined;
  const parts = (): Beside => {
    assert.ok(made, 'the stack has been started');
    return made;
  };
  before(async () => {
    const { registry } = await testStack();
    const stack = await startStack({ cri: true, registryUrl: registry.url });
    made = { stack, crid: await startCrid(stack, options(stack)), plugin: criClient(stack.containerd.socket) };
    await Promise.all([pullImage(made.crid), pullImage(made.plugin)]);
  });
  after(async () => {
    const { stack, crid, plugin } = parts();
    await removeAllPods(crid);
    await removeAllPods(plugin);
    await crid.stop();
    crid.close();
    plugin.close();
    await stack.dispose();
  });
  return {
    get stack() {
      return parts().stack;
    },
    get crid() {
      return parts().crid;
    },
    get plugin() {
      return parts().plugin;
    },
  };
}
