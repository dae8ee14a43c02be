import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the compiled files (`build`): two above `build/tools/stack`. */
export const buildRoot = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** The checkout: the nearest folder at or above the compiled files that has buf.gen.yaml. */
export const projectRoot = ((): string => {
  let folder = buildRoot;
  while (!existsSync(join(folder, 'buf.gen.yaml'))) {
    const above = dirname(folder);
    if (above === folder) throw new Error(`no buf.gen.yaml above ${buildRoot}`);
    folder = above;
  }
  return folder;
})();
