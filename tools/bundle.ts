import { readFile, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown, type OutputChunk } from 'rolldown';

/**
 * Bundles crid and the packages that it uses into build/bundle/, which `bin/crid` runs: Node.js then loads a few files
 * instead of 770. All are in one folder, so that the file of a worker thread is beside the file that starts it. The
 * code is not minified, to keep stack traces readable.
 */

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const source = (path: string): string => join(root, 'src', path);
/** The main program, and the file of each worker thread. */
const ENTRIES = {
  main: source('main.ts'),
  'copy-worker': source('stdio/copy-worker.ts'),
  'stream-worker': source('streaming/stream-worker.ts'),
  'tree-worker': source('host/trees/tree-worker.ts'),
};
/** Stays a package of its own, because it loads its native part from its own folder. */
const EXTERNAL = ['koffi'];
/** A warning without harm: a module that is imported both ways is loaded with the main program. */
const HARMLESS = 'INEFFECTIVE_DYNAMIC_IMPORT';

const PACKAGE_FOLDER = /^.*\/node_modules\/(@[^/]+\/)?[^/]+/;

const folder = join(root, 'build', 'bundle');
const build = await rolldown({
  input: ENTRIES,
  platform: 'node',
  external: EXTERNAL,
  // Imports name the files that tsc makes.
  resolve: { extensionAlias: { '.js': ['.ts', '.js'] } },
  onLog(level, log) {
    if (level === 'debug' || log.code === HARMLESS) return;
    throw new Error(`bundle: ${log.message}`);
  },
});
const { output } = await build.write({
  dir: folder,
  cleanDir: true,
  format: 'esm',
  sourcemap: true,
  entryFileNames: '[name].js',
  chunkFileNames: '[name]-[hash].js',
});
await build.close();
await writeFile(join(folder, 'LICENSES.txt'), await licencesOf(output.filter((each) => each.type === 'chunk')));

/** Returns the name, version and licence texts of each package in the bundle, in the order of the names. */
async function licencesOf(chunks: readonly OutputChunk[]): Promise<string> {
  const folders = chunks.flatMap(({ moduleIds }) => moduleIds.map((id) => PACKAGE_FOLDER.exec(id)?.[0] ?? []).flat());
  const entries = await Promise.all([...new Set(folders)].sort().map(licenceOf));
  return entries.join(`\n${'-'.repeat(80)}\n`);
}

async function licenceOf(packageFolder: string): Promise<string> {
  const { name, version, license } = JSON.parse(await readFile(join(packageFolder, 'package.json'), 'utf8')) as Record<
    string,
    string
  >;
  if (license === undefined) throw new Error(`bundle: ${name} does not name its licence`);
  const files = (await readdir(packageFolder)).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file)).sort();
  const texts = await Promise.all(files.map((file) => readFile(join(packageFolder, file), 'utf8')));
  return [`${name} ${version}: ${license}\n`, ...texts].join('\n');
}
