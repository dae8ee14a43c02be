import type { Logger } from '../base/log.js';
import type { Config } from '../config/schema.js';
import type { Containerd } from '../containerd/containerd.js';
import type { Exits } from '../events/exits.js';
import type { ContainerHooks } from '../nri/container-hooks.js';
import type { Operations } from '../operation/operation.js';
import type { Steps } from '../operation/steps.js';
import type { Handlers } from '../sandboxer/handler.js';
import type { ImageVolumes } from '../sandboxer/image-volumes.js';
import type { ReadPulledProfile } from '../sandboxer/seccomp-profile.js';
import type { Selinux } from '../sandboxer/selinux.js';
import type { HostFacts, SpecOptions } from '../spec/types.js';
import type { Directories } from '../state/directories.js';
import type { ImageCache, LocalImage } from '../state/image-cache.js';
import type { State } from '../state/state.js';
import type { StatusFiles } from '../state/status-file.js';
import type { Stdio } from '../stdio/stdio.js';
import type { AppArmor } from './apparmor.js';
import type { ContainerProcesses, PodMounts, PreparedRootfs } from './container-process.js';
import type { AccountCache } from './read-user.js';

/** Dependencies of the operations on containers; the composition root makes them once. */
export interface ContainerDeps {
  readonly config: Config;
  readonly log: Logger;
  readonly containerd: Containerd;
  readonly operations: Operations;
  readonly state: State;
  readonly images: ImageCache;
  readonly directories: Directories;
  readonly exits: Exits;
  readonly stdio: Stdio;
  /** Names the shim of a container and its state, for messages: `shim 42 (stopped)`. */
  readonly describeShim: (id: string) => string;
  readonly host: HostFacts;
  readonly specOptions: SpecOptions;
  readonly handlers: Handlers;
  readonly statusFiles: StatusFiles;
  readonly imageVolumes: ImageVolumes;
  readonly readPulledProfile: ReadPulledProfile;
  /** Unpacks an image, as a step, unless the snapshotter has it already. The images module implements this. */
  readonly unpackImage: (steps: Steps, image: LocalImage, snapshotter: string) => Promise<void>;
  readonly appArmor: AppArmor;
  readonly accounts: AccountCache;
  readonly processes: ContainerProcesses;
  readonly preparedRootfs: PreparedRootfs;
  readonly podMounts: PodMounts;
  /** Undefined when NRI is off. */
  readonly nri: ContainerHooks | undefined;
  /** Undefined when SELinux is off or disabled by the configuration. */
  readonly selinux: Selinux | undefined;
}
