/**
 * A registry of undo functions for everything that this process starts or creates on the host. They run in reverse
 * order, at the latest when the process ends, also by a signal. Each has a time limit, and a failed one does not stop
 * the others.
 */

interface Entry {
  readonly what: string;
  readonly undo: () => Promise<void>;
}

const UNDO_LIMIT_MS = 60_000;
const entries: Entry[] = [];
/** Pids to kill when no asynchronous code can run any more (`process.exit`). */
const children = new Set<number>();
let installed = false;
let disposing: Promise<void> | undefined;
let ending: Promise<void> | undefined;

/** Registers an undo function. Returns a function that runs it now, once. */
export function onDispose(what: string, undo: () => Promise<void>, limitMs = UNDO_LIMIT_MS): () => Promise<void> {
  install();
  let running: Promise<void> | undefined;
  const entry: Entry = { what, undo: () => (running ??= limited(what, undo(), limitMs)) };
  entries.push(entry);
  return async () => {
    const index = entries.indexOf(entry);
    if (index >= 0) entries.splice(index, 1);
    await entry.undo();
  };
}

/** Kills `pid` at the latest when this process exits. Call the returned function once `pid` has ended. */
export function killOnExit(pid: number): () => void {
  install();
  children.add(pid);
  return () => void children.delete(pid);
}

/** Runs all registered undo functions. Concurrent calls share one run. */
export function disposeAll(): Promise<void> {
  return (disposing ??= undoAll().finally(() => (disposing = undefined)));
}

async function undoAll(): Promise<void> {
  for (let entry = entries.pop(); entry; entry = entries.pop()) {
    const { what } = entry;
    await entry.undo().catch((error: unknown) => {
      process.stderr.write(`clean up ${what}: ${error instanceof Error ? error.message : String(error)}\n`);
      process.exitCode ||= 1;
    });
  }
}

function install(): void {
  if (installed) return;
  installed = true;
  const signals = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
  for (const [signal, number] of Object.entries(signals)) {
    process.on(signal, () => void (ending ??= disposeAll().then(() => process.exit(128 + number))));
  }
  process.on('beforeExit', () => void (ending ??= disposeAll().then(() => (ending = undefined))));
  process.on('exit', () => {
    for (const pid of children) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // The process has ended.
      }
    }
  });
}

async function limited(what: string, work: Promise<void>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: no end within ${limitMs} ms`)), limitMs);
  });
  await Promise.race([work, limit]).finally(() => clearTimeout(timer));
}
