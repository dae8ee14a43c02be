import { inBackground } from '../base/background.js';
import { CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { loadBaseSpecs } from '../config/load-base-spec.js';
import type { LoadedConfig } from '../config/load.js';
import { notHonoured } from '../config/not-honoured.js';
import { changesBetween, keepUntilRestart, type OptionChange } from '../config/reload.js';
import type { Config } from '../config/schema.js';
import type { Containerd } from '../containerd/containerd.js';
import type { Operations } from '../operation/operation.js';
import type { ImageCache } from '../state/image-cache.js';
import { checkRuntimeOptions } from './check-options.js';
import { handlerFeatures } from './features.js';
import type { HandlerMaker } from './handlers.js';
import type { InForce, Settings } from './settings.js';
import { snapshotterWarnings } from './snapshotter-settings.js';

/** More than containerd takes to ask every runtime for its features. */
const LIMIT_MS = 60_000;

interface PrepareDeps {
  readonly containerd: Containerd;
  readonly log: Logger;
  readonly handlerMaker: HandlerMaker;
}

export interface ReloadDeps extends PrepareDeps {
  readonly settings: Settings;
  readonly operations: Operations;
  readonly images: Pick<ImageCache, 'rebuild'>;
}

/**
 * Reads the configuration again with `load` and takes all options that need no restart, or none: then it throws, and
 * nothing has changed. Returns the differences between what was in force and what was read.
 */
export type Reload = (load: () => Promise<LoadedConfig>) => Promise<readonly OptionChange[]>;

/** A reload that comes while another one waits for its turn joins it: that one has not read the files yet. */
export function createReload(deps: ReloadDeps): Reload {
  let waiting: Promise<readonly OptionChange[]> | undefined;
  const start: Reload = (load) =>
    deps.operations.run({
      kind: 'reload configuration',
      subject: 'crid',
      key: 'configuration',
      caller: {},
      limitMs: LIMIT_MS,
      work: async (steps) => {
        waiting = undefined;
        const loaded = await steps.step('read configuration', () => load());
        const before = deps.settings.config;
        const changes = changesBetween(before, loaded.config);
        const next = { ...loaded, config: keepUntilRestart(before, loaded.config) };
        const inForce = await steps.step('prepare handlers', (signal) => prepare(deps, next, signal));
        tellWarnings(loaded, deps.log);
        take(deps, inForce);
        return changes;
      },
    });
  return async (load) => {
    const reloading = (waiting ??= start(load));
    return reloading.finally(() => {
      if (waiting === reloading) waiting = undefined;
    });
  };
}

/**
 * Makes everything that follows from a configuration, and logs what containerd's configuration lacks for its
 * snapshotters. INVALID_ARGUMENT if the options of a runtime are wrong, FAILED_PRECONDITION if a `base_runtime_spec` is
 * not valid. With the signal of a reload, throws also if containerd does not respond for one handler: the features in
 * force are better than none.
 */
export async function prepare(
  { containerd, log, handlerMaker }: PrepareDeps,
  { config, transfer }: Pick<LoadedConfig, 'config' | 'transfer'>,
  reload?: AbortSignal,
): Promise<InForce> {
  checkRuntimeOptions(config);
  const [baseSpecs, features, problems] = await Promise.all([
    loadBaseSpecs(config),
    handlerFeatures(config, containerd, log, { strict: reload !== undefined }),
    snapshotterWarnings(config, transfer, containerd),
  ]);
  for (const { snapshotter, message } of problems) log.warn({ snapshotter }, `snapshotter ${snapshotter}: ${message}`);
  // A reload that has timed out makes no networks any more.
  reload?.throwIfAborted();
  return { config, features, ...handlerMaker.make(config, { baseSpecs, features }) };
}

/** Logs the warnings of the files, and the options that have no effect. */
export function tellWarnings({ config, transfer, warnings }: LoadedConfig, log: Logger): void {
  for (const warning of [...warnings, ...notHonoured(config, transfer)]) log.warn(warning);
}

/** Nothing here can fail, so that all of it is taken. */
function take({ settings, handlerMaker, images, log }: ReloadDeps, next: InForce): void {
  const pinned = (config: Config): string => JSON.stringify(config.images.pinned_images);
  const isPinnedAnew = pinned(settings.config) !== pinned(next.config);
  settings.replace(next);
  log.level = next.config.crid.log_level;
  handlerMaker.keepOnly(next.networks);
  // The label of a pinned image is written where its record is read.
  if (isPinnedAnew) inBackground(log, 'reading the images for their pins', images.rebuild());
}

/** Logs what a reload became. Returns a sentence for the status of the service. */
export function reportReload(log: Logger, outcome: readonly OptionChange[] | CriError): string {
  if (outcome instanceof CriError) {
    log.error({ err: outcome.message }, 'configuration not reloaded, nothing has changed');
    return `not reloaded: ${outcome.message}`;
  }
  for (const { option, old, new: loaded, needsRestart } of outcome) {
    const facts = { option, old, new: loaded };
    if (needsRestart) log.warn(facts, 'option has changed and needs a restart of crid');
    else log.info(facts, 'option changed');
  }
  const left = outcome.filter(({ needsRestart }) => needsRestart).map(({ option }) => option);
  const changed = outcome.length - left.length;
  log.info({ changed, needRestart: left }, 'configuration reloaded');
  return left.length === 0 ? 'reloaded' : `reloaded, a restart is needed for ${left.join(', ')}`;
}
