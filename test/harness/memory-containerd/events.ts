import type { ContainerdEvent, Events } from '../../../src/containerd/containerd.js';
import type { Store } from './store.js';

/** Delivers events until the subscriber's signal aborts. The subscription is never lost. */
export const memoryEvents = ({ subscribers }: Store): Events => ({
  subscribe({ onConnected, onEvent, onLost }, signal) {
    if (signal.aborted) return;
    const queued: ContainerdEvent[] = [];
    let deliver = (event: ContainerdEvent): void => void queued.push(event);
    const receive = (event: ContainerdEvent): void => deliver(event);
    subscribers.add(receive);
    signal.addEventListener('abort', () => subscribers.delete(receive), { once: true });
    onConnected().then(() => {
      deliver = onEvent;
      queued.forEach(onEvent);
    }, onLost);
  },
});

export function emit({ subscribers }: Store, event: ContainerdEvent): void {
  for (const receive of subscribers) receive(event);
}
