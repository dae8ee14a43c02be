import type {
  Activation,
  Any,
  ContainerRecord,
  ContainerdEvent,
  Exit,
  ImageRecord,
  Labels,
  Lease,
  SandboxRecord,
  TaskIo,
  TaskStatus,
} from '../../../src/containerd/containerd.js';
import { nowNs } from '../../../src/host/syscall/clock.js';
import type { Program } from './programs.js';

export interface MemorySnapshot {
  readonly parent: string;
  readonly kind: 'view' | 'active' | 'committed';
  readonly labels: Labels;
}

export interface MemoryTask {
  readonly pid: number;
  readonly io: TaskIo;
  readonly endpoint: { readonly address: string; readonly version: number } | undefined;
  readonly program: Program;
  status: TaskStatus;
  exit: Exit | undefined;
  /** The waits that have not returned. */
  readonly waits: Set<(exit: Exit) => void>;
}

export interface MemoryBlob {
  readonly bytes: Uint8Array;
  readonly labels: Labels;
}

export interface MemoryLease extends Lease {
  /** Keys of the form `TYPE ID`. */
  readonly resources: Set<string>;
}

/** A sandbox of a sandbox controller. */
export interface MemorySandbox {
  isReady: boolean;
  exit: Exit | undefined;
  readonly waits: Set<(exit: Exit) => void>;
}

/** The result of a start by a sandbox controller. */
export interface StartedSandbox {
  readonly pid: number;
  readonly address: string;
  readonly version: number;
  readonly spec?: Any | undefined;
}

/** The data of the in-memory containerd. It outlives the clients, as containerd's own outlives a crid. */
export interface Store {
  readonly containers: Map<string, ContainerRecord>;
  readonly sandboxes: Map<string, SandboxRecord>;
  readonly images: Map<string, ImageRecord>;
  readonly blobs: Map<string, MemoryBlob>;
  readonly leases: Map<string, MemoryLease>;
  readonly tasks: Map<string, MemoryTask>;
  /** The activations of the mount manager. */
  readonly activations: Map<string, Activation>;
  /** The sandboxes of sandbox controllers. */
  readonly running: Map<string, MemorySandbox>;
  started: StartedSandbox;
  readonly subscribers: Set<(event: ContainerdEvent) => void>;
  snapshotsOf(snapshotter: string): Map<string, MemorySnapshot>;
  readonly snapshotters: ReadonlyMap<string, Map<string, MemorySnapshot>>;
  nextPid(): number;
  /** Nanoseconds since the epoch, later with every call. */
  nowNs(): bigint;
}

/** Above the largest pid of Linux (4194304), so that no process of the host has it. */
const FIRST_PID = 5_000_000;

export function createStore(): Store {
  const snapshotters = new Map<string, Map<string, MemorySnapshot>>();
  let pid = FIRST_PID;
  let lastNs = 0n;
  return {
    containers: new Map(),
    sandboxes: new Map(),
    images: new Map(),
    blobs: new Map(),
    leases: new Map(),
    tasks: new Map(),
    activations: new Map(),
    running: new Map(),
    started: { pid: FIRST_PID - 1, address: '', version: 0 },
    subscribers: new Set(),
    snapshotters,
    snapshotsOf(snapshotter) {
      const snapshots = snapshotters.get(snapshotter) ?? new Map<string, MemorySnapshot>();
      snapshotters.set(snapshotter, snapshots);
      return snapshots;
    },
    nextPid: () => pid++,
    nowNs() {
      const now = nowNs();
      lastNs = now > lastNs ? now : lastNs + 1n;
      return lastNs;
    },
  };
}
