import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compile, createBase } from './image-base.js';
import type { Parts } from './image-parts.js';
import { conformanceImages } from './images-conformance.js';
import { testImages } from './images-test.js';
import { pushImage } from './image-push.js';
import type { Layout } from './layout.js';
import { projectRoot } from './project.js';

/** Whether the registry's storage holds what this version of the project makes. */
export const haveImages = async (layout: Layout): Promise<boolean> =>
  (await readFile(stampOf(layout), 'utf8').catch(() => '')) === (await recipe());

/** Makes all images and pushes them to the registry (`http://…`) whose storage is the layout's. */
export async function makeImages(layout: Layout, registry: string): Promise<void> {
  const parts: Parts = {
    base: await createBase(layout),
    pause: await compile('pause'),
    euid: await compile('euid'),
    web: await compile('web'),
  };
  for (const each of [...conformanceImages(parts), ...testImages(parts)]) await pushImage(registry, each);
  await writeFile(stampOf(layout), await recipe());
}

const stampOf = (layout: Layout): string => join(layout.registry, 'images');

/** A hash of all that decides what the images hold: the compiled lists and the C programs. */
async function recipe(): Promise<string> {
  const compiled = [
    'images.js',
    'images-conformance.js',
    'images-test.js',
    'image-base.js',
    'image-parts.js',
    'image-push.js',
    'tar.js',
  ];
  const hash = createHash('sha256');
  for (const name of compiled) hash.update(await readFile(new URL(name, import.meta.url)));
  for (const name of ['pause', 'euid', 'web']) {
    hash.update(await readFile(join(projectRoot, 'tools', 'stack', 'images', `${name}.c`)));
  }
  return hash.digest('hex');
}
