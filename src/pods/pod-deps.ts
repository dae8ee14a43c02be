import type { Logger } from '../base/log.js';
import type { Containerd } from '../containerd/containerd.js';
import type { Exits } from '../events/exits.js';
import type { Caller, Operations } from '../operation/operation.js';
import type { PodHooks } from '../nri/pod-hooks.js';
import type { Handlers } from '../sandboxer/handler.js';
import type { ImageVolumes } from '../sandboxer/image-volumes.js';
import type { ReadPulledProfile } from '../sandboxer/seccomp-profile.js';
import type { Selinux } from '../sandboxer/selinux.js';
import type { HostFacts, SpecOptions } from '../spec/types.js';
import type { Directories } from '../state/directories.js';
import type { LocalImage } from '../state/image-cache.js';
import type { State } from '../state/state.js';
import type { Namespaces } from './namespaces.js';

/** Dependencies of the operations on pods; the composition root makes them once. */
export interface PodDeps {
  readonly log: Logger;
  readonly containerd: Containerd;
  readonly operations: Operations;
  readonly state: State;
  readonly directories: Directories;
  readonly exits: Exits;
  readonly host: HostFacts;
  readonly specOptions: SpecOptions;
  readonly handlers: Handlers;
  readonly namespaces: Namespaces;
  readonly imageVolumes: ImageVolumes;
  readonly readPulledProfile: ReadPulledProfile;
  /** Undefined when NRI is off. */
  readonly nri: PodHooks | undefined;
  /** Undefined when SELinux is off or disabled by the configuration. */
  readonly selinux: Selinux | undefined;
  /** The reference of the image of pause containers. */
  readonly pauseImage: string;
  readonly ensureImage: (
    reference: string,
    options: { snapshotter: string; signal: AbortSignal; mayPull?: boolean },
  ) => Promise<LocalImage>;
  /** Operations of the containers module on a pod's containers: kill and wait; remove. */
  readonly killContainer: (id: string, caller: Caller) => Promise<void>;
  readonly removeContainer: (id: string, caller: Caller) => Promise<void>;
}
