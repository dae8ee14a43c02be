import { assertNever, type CodeName } from '../../base/errors.js';
import { copyWalk } from './copy-walk.js';
import { relabelWalk } from './relabel-walk.js';
import { removeWalk } from './remove-walk.js';

/** One walk over a tree; `path` is what an error and `crid why` call it. */
export type TreeJob =
  | { readonly kind: 'remove'; readonly path: string }
  /** `source`: a descriptor of the server's thread, which stays open until the job has ended. */
  | { readonly kind: 'copy'; readonly path: string; readonly source: number; readonly destination: string }
  | { readonly kind: 'relabel'; readonly path: string; readonly label: string };

/** What the server's thread tells a tree thread. */
export type TreeCommand =
  | { readonly kind: 'start'; readonly id: number; readonly job: TreeJob }
  | { readonly kind: 'stop'; readonly id: number };

/** What a tree thread tells the server's thread. */
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
  /** The thread works: no system call holds it. */
  | { readonly kind: 'alive' };

/** The walk of a job, which yields every few system calls. */
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
