import { inBackground } from '../base/background.js';
import type { Logger } from '../base/log.js';
import { assertNever } from '../base/errors.js';
import type { Containerd, ContainerdEvent } from '../containerd/containerd.js';
import type { ImageCache } from '../state/image-cache.js';
import type { Exits } from './exits.js';

/** Follows containerd's events until `signal` aborts; after each (re)connection it reads the images again. */
export function followEvents(
  options: {
    containerd: Pick<Containerd, 'events'>;
    log: Logger;
    images: Pick<ImageCache, 'refresh' | 'forget' | 'rebuild'>;
    exits: Pick<Exits, 'report'>;
    onOom: (containerId: string) => Promise<void>;
  },
  signal: AbortSignal,
): void {
  const { log, images } = options;
  const onEvent = (event: ContainerdEvent): void => {
    switch (event.kind) {
      case 'task-exit':
        // The code that starts an exec waits for its exit itself.
        if (event.execId === '' || event.execId === event.containerId)
          options.exits.report(event.containerId, event.exit);
        return;
      case 'task-oom':
        return inBackground(log, 'handling an oom event', options.onOom(event.containerId));
      case 'image-changed':
        return inBackground(
          log,
          `reading image ${event.name}`,
          event.deleted ? images.forget(event.name) : images.refresh(event.name),
        );
      default:
        assertNever(event);
    }
  };
  options.containerd.events.subscribe(
    {
      // The Wait on each task reports missed exits; it is repeated when its connection breaks.
      onConnected: () => images.rebuild(),
      onEvent,
      onLost: (error) => log.warn({ err: error.message }, 'event stream lost, subscribing again'),
    },
    signal,
  );
}
