import { inBackground } from '../base/background.js';
import type { Logger } from '../base/log.js';
import { assertNever } from '../base/errors.js';
import type { Containerd, ContainerdEvent } from '../containerd/containerd.js';
import type { ImageCache } from '../state/images.js';
import type { Exits } from './exits.js';

/** Follows containerd's events for as long as crid runs; after each (re)connection the images are read anew. */
export function followEvents(options: {
  containerd: Pick<Containerd, 'events'>;
  log: Logger;
  images: Pick<ImageCache, 'refresh' | 'forget' | 'rebuild'>;
  exits: Pick<Exits, 'report'>;
  onOom: (containerId: string) => Promise<void>;
}): AbortController {
  const { log, images } = options;
  const following = new AbortController();
  const onEvent = (event: ContainerdEvent): void => {
    switch (event.kind) {
      case 'task-exit':
        // An exec's exit is waited for by who started it.
        if (event.execId === '' || event.execId === event.containerId)
          options.exits.report(event.containerId, event.exit);
        return;
      case 'task-oom':
        return inBackground(log, 'handling an oom event', options.onOom(event.containerId));
      case 'image-changed':
        // What crid has removed itself is not known any more, and need not be asked for.
        return inBackground(
          log,
          `reading image ${event.name}`,
          event.deleted ? images.forget(event.name, undefined) : images.refresh(event.name),
        );
      default:
        assertNever(event);
    }
  };
  options.containerd.events.subscribe(
    {
      // Exits that were missed show in the Wait on each task, which outlives the connection.
      onConnected: () => images.rebuild(),
      onEvent,
      onLost: (error) => log.warn({ err: error.message }, 'event stream lost, subscribing again'),
    },
    following.signal,
  );
  return following;
}
