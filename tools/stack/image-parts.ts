import type { Base } from './image-base.js';
import type { Image, ImageConfig, Layer } from './image-push.js';

/** The files that images are made of. */
export interface Parts {
  readonly base: Base;
  readonly pause: Buffer;
  readonly euid: Buffer;
  readonly web: Buffer;
}

export const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
export const SHELL: ImageConfig = { Cmd: ['sh'], Env: [PATH] };

export const image = (
  repository: string,
  tags: readonly string[],
  layers: readonly Layer[],
  config: ImageConfig,
): Image => ({ repository, tags, layers, config });
