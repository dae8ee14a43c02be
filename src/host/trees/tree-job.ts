import { assertNever, type CodeName } from '../../base/errors.js';
import { copyWalk } from './copy-walk.js';
import { relabelWalk } from './relabel-walk.js';
import { removeWalk } from './remove-walk.js';

/** A walk over a tree; `path` is its name in errors and in `crid why`. */
export type TreeJob =
  | { readonly kind: 'remove'; readonly path: string }
  /** `source`: a descriptor of the server's thread, which stays open until the job has ended. */
  | { readonly kind: 'copy'; readonly path: string; readonly source: number; readonly destination: string }
  | { readonly kind: 'relabel'; readonly path: string; readonly label: string };

/** A command from the server's thread to a tree thread. */
export type TreeCommand =
  | { readonly kind: 'start'; readonly id: number; readonly job: TreeJob }
  | { readonly kind: 'stop'; readonly id: number };

/** A report from a tree thread to the server's thread. */
export type TreeReport =
  | { readonly kind: 'done'; readonly id: number }
  | {
      readonly kind: 'failed';
      readonly id: number;
      readonly code: CodeName;
      readonly message: string;
      readonly errno: string | undefined;
    }
  /** A job was stopped before its end. */
  | { readonly kind: 'stopped'; readonly id: number }
  /** The thread is running: no system call blocks it. */
  | { readonly kind: 'alive' };

/** Returns the walk of a job, which yields every few system calls. */
export function walkOf(job: TreeJob): Generator<void, void> {
  switch (job.kind) {
    case 'remove':
      return removeWalk(job.path);
    case 'copy':
      return copyWalk(`/proc/self/fd/${job.source}`, job.destination);
    case 'relabel':
      return relabelWalk(job.path, job.label);
    default:
      return assertNever(job, 'tree job');
  }
}
