import { posix } from 'node:path';
import { invalidArgument } from '../base/errors.js';
import { cleanPath } from './clean-path.js';

/**
 * Returns the path of a container's log file: the container's log path below the pod's log directory. Undefined when
 * either is empty, which turns the log off. INVALID_ARGUMENT for a directory that is not absolute and for a path that
 * leaves it (CVE-2025-0750).
 */
export function containerLogPath(directory: string, path: string): string | undefined {
  if (directory === '' || path === '') return undefined;
  checkLogDirectory(directory, 'sandbox_config.log_directory');
  checkInside(path, 'config.log_path');
  const joined = cleanPath(posix.join(directory, path));
  if (joined === cleanPath(directory)) throw invalidArgument('config.log_path', `"${path}" does not name a file`);
  return joined;
}

/** INVALID_ARGUMENT for a directory that is not absolute or has `..`; "" means no logs. */
export function checkLogDirectory(directory: string, field: string): void {
  if (directory === '') return;
  if (!posix.isAbsolute(directory)) throw invalidArgument(field, 'must be absolute');
  checkInside(directory, field);
}

/** Returns the pod's log directory: a container's log path without its `config.log_path`. Undefined without a log. */
export function logDirectoryOf({ logPath, config }: LoggedContainer): string | undefined {
  const own = cleanPath(posix.join('/', config.log_path));
  return logPath !== '' && logPath.endsWith(own) ? logPath.slice(0, -own.length) || '/' : undefined;
}

interface LoggedContainer {
  readonly logPath: string;
  readonly config: { readonly log_path: string };
}

function checkInside(path: string, field: string): void {
  if (path.includes('\0')) throw invalidArgument(field, 'contains a NUL byte');
  if (path.split('/').includes('..')) throw invalidArgument(field, `"${path}" contains ".."`);
}
