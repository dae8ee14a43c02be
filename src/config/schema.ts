/** What the other rooms see of the configuration; only the composition root loads it (load.ts, show.ts). */
export type {
  Config,
  CridConfig,
  ImagesConfig,
  RegistryAuth,
  RuntimeConfig,
  RuntimeHandler,
  StreamingConfig,
} from './options.js';
export { configSchema } from './options.js';
export { defaultConfig } from './defaults.js';
export { durationMs } from './duration.js';
export { runtimeHandler } from './runtime-handler.js';
export type { BaseSpec } from './base-spec.js';
