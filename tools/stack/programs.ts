import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compile } from './image-base.js';
import type { Layout } from './layout.js';
import { projectRoot } from './project.js';

/**
 * Returns a program of `tools/stack/images`. It is compiled only once, because not every host that needs it has a
 * compiler.
 */
export async function ensureProgram(layout: Layout, name: string): Promise<Buffer> {
  const source = await readFile(join(projectRoot, 'tools', 'stack', 'images', `${name}.c`));
  const version = createHash('sha256').update(source).digest('hex').slice(0, 12);
  const folder = join(layout.goTools, 'c');
  const path = join(folder, `${name}-${version}`);
  if (existsSync(path)) return readFile(path);
  const program = await compile(name);
  await mkdir(folder, { recursive: true });
  const partial = `${path}.${process.pid}`;
  await writeFile(partial, program);
  await rename(partial, path);
  return program;
}
