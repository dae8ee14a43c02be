import { watch, type FSWatcher } from 'node:fs';
import { inBackground } from '../base/background.js';
import type { Logger } from '../base/log.js';
import { hasChanged, loadConfDir, type LoadedConf } from './conf-dir.js';

/** The configuration in one directory, always as it is on disk. */
export interface ConfStore {
  /** Returns the present configuration: calls `stat` on each file, and reloads if any has changed. Never throws. */
  current(): Promise<LoadedConf>;
  close(): void;
}

const DEBOUNCE_MS = 100;

/**
 * Loads the configuration and reloads it when the directory changes. Each use checks the files, so that nothing depends
 * on the watch: the watch only loads and logs a change before the next use. A directory that is created later is
 * watched from its first use.
 */
export function createConfStore(options: { dir: string; maxConfNum: number; log: Logger }): ConfStore {
  const { dir, log } = options;
  let loaded: LoadedConf | undefined;
  let inFlight: Promise<LoadedConf> | undefined;
  let watcher: { readonly handle: FSWatcher; readonly inode: string | undefined } | undefined;
  let debounce: NodeJS.Timeout | undefined;
  let closed = false;

  const unwatch = (): void => {
    watcher?.handle.close();
    watcher = undefined;
  };

  const reload = (): void => inBackground(log, 'reading the cni configuration', current());

  const onChange = (): void => {
    debounce ??= setTimeout(() => {
      debounce = undefined;
      if (!closed) reload();
    }, DEBOUNCE_MS).unref();
  };

  /** Watches the directory again after it was removed and created again: a watch on the old inode reports nothing. */
  const ensureWatch = (now: LoadedConf): void => {
    const inode = now.stamps.get(dir)?.split(' ')[0];
    if (closed || (watcher && watcher.inode === inode)) return;
    unwatch();
    try {
      const handle = watch(dir, { persistent: false }, onChange);
      handle.on('error', unwatch);
      watcher = { handle, inode };
    } catch (thrown) {
      log.trace({ dir, err: String(thrown) }, 'cni config directory not watched');
    }
  };

  const refresh = async (): Promise<LoadedConf> => {
    if (loaded && !(await hasChanged(loaded))) return loaded;
    const now = await loadConfDir(dir, options.maxConfNum);
    ensureWatch(now);
    if (now.error !== loaded?.error || now.error === '') report(now, dir, log);
    loaded = now;
    return now;
  };

  function current(): Promise<LoadedConf> {
    inFlight ??= refresh().finally(() => {
      inFlight = undefined;
    });
    return inFlight;
  }

  reload();
  return {
    current,
    close() {
      closed = true;
      clearTimeout(debounce);
      unwatch();
    },
  };
}

function report(loaded: LoadedConf, dir: string, log: Logger): void {
  if (loaded.error === '') log.info({ dir, networks: loaded.networks.map(({ name }) => name) }, 'cni config loaded');
  else log.warn({ dir, err: loaded.error }, 'cni config not loaded');
}
