import type { Logger } from '../base/log.js';
import type { Config } from '../config/schema.js';
import type { Containerd } from '../containerd/containerd.js';
import type { Operations } from '../operation/operation.js';
import type { Handlers } from '../sandboxer/handler.js';
import type { ImageCache } from '../state/image-cache.js';
import type { State } from '../state/state.js';
import type { ProfileStore } from './profiles/profile-store.js';
import type { WatchPull } from './pull-watch.js';
import type { Unpacking } from './unpacking.js';

/** The dependencies of the image operations; the composition root creates them once. */
export interface ImageDeps {
  readonly log: Logger;
  readonly config: Config;
  readonly containerd: Containerd;
  readonly operations: Operations;
  readonly images: ImageCache;
  readonly handlers: Pick<Handlers, 'get' | 'of'>;
  readonly state: State;
  readonly unpacking: Unpacking;
  readonly watchPull: WatchPull;
  readonly profiles: ProfileStore;
}
