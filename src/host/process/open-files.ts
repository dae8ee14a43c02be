import { readdirSync, readlinkSync } from 'node:fs';
import { readKernelFile } from '../files/kernel-files.js';

/** Counting stops here: a container with more open files is reported as having this many. */
const MAX_FILES = 50_000;

/** Counts the open files of processes, and the sockets among them; a process that has ended adds nothing. */
export function openFiles(pids: readonly number[]): { readonly files: number; readonly sockets: number } {
  let files = 0;
  let sockets = 0;
  for (const pid of pids) {
    for (const fd of entriesOf(`/proc/${pid}/fd`)) {
      if (files >= MAX_FILES) return { files, sockets };
      files++;
      if (linkOf(`/proc/${pid}/fd/${fd}`).startsWith('socket:')) sockets++;
    }
  }
  return { files, sockets };
}

/**
 * Returns the soft limit of open files of a process (proc_pid_limits(5)); undefined when it is gone or has no limit.
 */
export function openFilesLimit(pid: number): bigint | undefined {
  const soft = /^Max open files\s+(\d+)/m.exec(readKernelFile(`/proc/${pid}/limits`) ?? '')?.[1];
  return soft === undefined ? undefined : BigInt(soft);
}

function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
