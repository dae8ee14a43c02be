/**
 * The types of the configuration for other modules. Only the composition root loads a configuration (load.ts, show.ts).
 */
export type {
  Config,
  CridConfig,
  ImagesConfig,
  NriConfig,
  RegistryAuth,
  RuntimeConfig,
  RuntimeHandler,
  StreamingConfig,
} from './options.js';
export { configSchema } from './options.js';
export { defaultConfig } from './defaults.js';
export { durationMs } from './duration.js';
export { runtimeHandler } from './runtime-handler.js';
export type { BaseSpec } from './load-base-spec.js';
