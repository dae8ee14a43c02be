import { existsSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { buildRoot, projectRoot } from '../../tools/stack/project.js';

/**
 * Returns the compiled files of `test/KIND`, one for each source, so that a stale file in build/ whose source was
 * deleted does not run.
 */
export function testFiles(kind: string, words: readonly string[]): string[] {
  const folder = join(projectRoot, 'test', kind);
  const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.test.ts'),
  );
  return sources
    .map((name) => join(buildRoot, 'test', kind, name.replace(/\.ts$/, '.js')))
    .filter((file) => words.length === 0 || words.some((word) => relative(buildRoot, file).includes(word)))
    .sort()
    .map((file) => {
      if (!existsSync(file)) throw new Error(`${file} is missing: run make build`);
      return file;
    });
}
