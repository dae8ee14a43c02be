import { access } from 'node:fs';

/**
 * Calls `tell` every `intervalMs` while the event loop turns and libuv's pool has a free thread: each check goes
 * through the pool, with a file that no file server can block. When all threads of the pool are blocked, crid reads no
 * files and makes no containers any more, although it still accepts calls. Returns a function that stops it.
 */
export function startWatchdog(intervalMs: number, tell: () => void): () => void {
  let isAsked = false;
  const timer = setInterval(() => {
    if (isAsked) return;
    isAsked = true;
    access('/proc/self', () => {
      isAsked = false;
      tell();
    });
  }, intervalMs);
  return () => clearInterval(timer);
}
