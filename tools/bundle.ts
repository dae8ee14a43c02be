import { writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown, type OutputChunk, type Plugin } from 'rolldown';
import { bundlePluginLibrary } from './bundle-plugin-library.js';
import { contractTexts, joined, licenceOf, licenceTexts } from './dist/licences.js';

/**
 * Bundles crid and the packages that it uses into build/bundle/, which `bin/crid` runs: Node.js then loads a few files
 * instead of 770. All are in one folder, so that the file of a worker thread is beside the file that starts it. The
 * code has no comments and is not minified, to keep stack traces readable.
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
/**
 * Packages and modules of Node.js that a library names and crid never uses: grpc-js loads the first for channelz and
 * the second for HTTP proxies, which a unix socket has none of. Loading `http` costs Node.js 24 the 50 ms that it takes
 * to load its WebSocket client.
 */
const UNUSED = [
  ['/@grpc/grpc-js/', '@grpc/proto-loader'],
  ['/@grpc/grpc-js/build/src/http_proxy.js', 'http'],
] as const;
const EMPTY_MODULE = '\0unused';
/** A warning without harm: a module that is imported both ways is loaded with the main program. */
const HARMLESS = 'INEFFECTIVE_DYNAMIC_IMPORT';

const PACKAGE_FOLDER = /^.*\/node_modules\/(@[^/]+\/)?[^/]+/;

const folder = join(root, 'build', 'bundle');
const leaveOut: Plugin = {
  name: 'leave out what is not used',
  resolveId: (name, importer = '') =>
    UNUSED.some(([user, unused]) => name === unused && importer.includes(user)) ? EMPTY_MODULE : undefined,
  load: (id) => (id === EMPTY_MODULE ? 'module.exports = {};' : undefined),
};
/** V8 keeps the source of a file that has another character, such as an ellipsis, in two bytes for each character. */
const asciiOnly: Plugin = {
  name: 'ASCII only',
  generateBundle(_options, bundle) {
    for (const file of Object.values(bundle)) {
      if (file.type !== 'chunk') continue;
      file.code = file.code.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
    }
  },
};
const build = await rolldown({
  input: ENTRIES,
  platform: 'node',
  plugins: [leaveOut, asciiOnly],
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
  comments: false,
  entryFileNames: '[name].js',
  chunkFileNames: '[name]-[hash].js',
});
await build.close();
await bundlePluginLibrary(root);
const licences = await Promise.all(foldersOf(output.filter((each) => each.type === 'chunk')).map(licenceOf));
await writeFile(join(folder, 'LICENSES.txt'), joined([licenceTexts(licences), await contractTexts()]));
// For the list of parts in a distribution.
const names = licences.map(({ folder, name, version, license }) => ({
  folder: relative(root, folder),
  name,
  version,
  license,
}));
await writeFile(join(folder, 'packages.json'), `${JSON.stringify(names, undefined, 2)}\n`);

/** Returns the folder of each package in the bundle, in the order of the names. */
function foldersOf(chunks: readonly OutputChunk[]): string[] {
  const folders = chunks.flatMap(({ moduleIds }) => moduleIds.map((id) => PACKAGE_FOLDER.exec(id)?.[0] ?? []).flat());
  return [...new Set(folders)].sort();
}
