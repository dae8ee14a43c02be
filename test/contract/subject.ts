import { anyOf, jsonAny, SPEC_TYPE_URL } from '../../src/containerd/any.js';
import type { Any, Containerd, ContainerRecord } from '../../src/containerd/containerd.js';
import { CriError } from '../../src/base/errors.js';

/** A containerd under test, in a namespace that has nothing but one image. */
export interface Subject {
  readonly containerd: Containerd;
  readonly snapshotter: string;
  /** An image with a shell, unpacked for the snapshotter. */
  readonly image: { readonly name: string; readonly chainId: string };
}

/** Scripts that the in-memory containerd knows too (test/harness/memory-containerd/programs.ts). */
export const RUNS_UNTIL_SIGKILL = 'sleep 1000';
export const ENDS_WITH_3_ON_SIGTERM = 'trap "exit 3" TERM; sleep 1000 & wait';
export const ENDS_WITH_7 = 'exit 7';

/** Keeps a snapshot that no container or lease refers to. */
export const GC_ROOT = { 'containerd.io/gc.root': '2026-01-01T00:00:00Z' };

export const textAny = (value: string): Any => anyOf('crid.test', Buffer.from(value));

export const containerOf = (id: string, record: Partial<ContainerRecord> = {}): ContainerRecord => ({
  id,
  labels: {},
  image: '',
  runtime: { name: 'io.containerd.runc.v2', options: undefined },
  spec: undefined,
  snapshotter: '',
  snapshotKey: '',
  extensions: {},
  sandbox: '',
  ...record,
});

export const specOf = (id: string, script: string): Any =>
  jsonAny(SPEC_TYPE_URL, {
    ociVersion: '1.1.0',
    process: {
      args: ['sh', '-c', script],
      cwd: '/',
      env: ['PATH=/bin'],
      user: { uid: 0, gid: 0 },
      noNewPrivileges: true,
    },
    root: { path: 'rootfs' },
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
    linux: {
      cgroupsPath: `/crid-test-${id}`,
      namespaces: ['pid', 'mount', 'ipc', 'uts', 'network'].map((type) => ({ type })),
    },
  });

/** Returns the code of the error of `work`, or `no error`. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'no error';
  } catch (thrown) {
    return CriError.from(thrown).code;
  }
}

/** Converts bytes to text, so that records of two clients compare equal. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString();
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}
