import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerdEvent } from '../../src/containerd/containerd.js';
import { ENDS_WITH_7, type Subject } from './subject.js';
import { createTask, removeTask } from './tasks.js';

export function testEvents(subject: () => Subject): void {
  test('exits and changes of images come as events, after the subscription has taken effect', async () => {
    const { containerd, image } = subject();
    const end = new AbortController();
    const events: ContainerdEvent[] = [];
    let complete = (): void => undefined;
    const all = new Promise<void>((resolve) => (complete = resolve));
    await new Promise<void>((resolve, reject) => {
      containerd.events.subscribe(
        {
          onConnected: async () => resolve(),
          onEvent: (event) => {
            events.push(event);
            if (events.length === 3) complete();
          },
          onLost: reject,
        },
        end.signal,
      );
    });
    const { pid } = await createTask(subject(), 'told', ENDS_WITH_7);
    await containerd.tasks.start({ containerId: 'told' });
    const exit = await containerd.tasks.wait({ containerId: 'told' });
    const { target } = await containerd.images.get(image.name);
    await containerd.images.create({ name: 'told', labels: {}, target });
    await containerd.images.delete('told', false);
    await all;
    end.abort();
    // An exit comes by way of the shim, so it may come after the images.
    const exits = events.filter(({ kind }) => kind === 'task-exit');
    assert.deepEqual(exits, [{ kind: 'task-exit', containerId: 'told', execId: '', pid, exit }]);
    assert.deepEqual(
      events.filter(({ kind }) => kind === 'image-changed'),
      [
        { kind: 'image-changed', name: 'told', deleted: false },
        { kind: 'image-changed', name: 'told', deleted: true },
      ],
    );
    await removeTask(subject(), 'told');
  });
}
