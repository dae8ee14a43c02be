import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { program } from '../../src/command-line.js';
import { ARCHITECTURES, type Architecture } from '../stack/architectures.js';
import { projectRoot } from '../stack/project.js';
import { bashCompletion } from './completion/bash.js';
import { commandNodes } from './completion/commands.js';
import { fishCompletion } from './completion/fish.js';
import { ZSH_COMPLETION, zshCompletion } from './completion/zsh.js';
import { configFile } from './config-file.js';
import { contracts, joined, licenceOf, licenceTexts } from './licences.js';
import { configurationPage, cridPage } from './man-pages.js';
import { known, lock, lockedPackage, npmPackage } from './npm-parts.js';
import { optionRows } from './option-table.js';
import { goPart, npmPart, sbom, type NpmPart } from './sbom.js';
import type { TreeFile } from './tree.js';

export interface Edition {
  readonly version: string;
  readonly architecture: Architecture;
  /** The time of everything in the packages, in seconds since 1970. */
  readonly epoch: number;
}

/** The files below a prefix (`/usr`, `/usr/local`), and the unit, which names a path below it. */
export interface Contents {
  readonly files: readonly TreeFile[];
  /** The unit for a given path of the program. */
  readonly unit: (program: string) => string;
}

const BUNDLE = 'build/bundle';
const HOME = 'lib/crid';
const CLUSTERS = 'packaging/clusters';
/** The program that the unit of packaging/ runs. */
const UNIT_PROGRAM = '/usr/local/bin/crid';
const read = (path: string): Promise<string> => readFile(join(projectRoot, path), 'utf8');
const compressed = (text: string): Buffer => gzipSync(text, { level: 9 });

export async function contents(edition: Edition): Promise<Contents> {
  const native = await nativeParts(edition.architecture);
  const bundled = JSON.parse(await read(`${BUNDLE}/packages.json`)) as (Omit<NpmPart, 'integrity'> & {
    folder: string;
  })[];
  const { packages: locked } = await lock();
  const npmParts = [
    ...bundled.map(({ folder, ...part }) => ({ ...part, integrity: known(locked[folder]?.integrity, folder) })),
    ...native.parts,
  ];
  const parts = [...npmParts.map(npmPart), ...(await contracts()).map(goPart)];
  const unit = await read('packaging/crid.service');
  if (!unit.includes(UNIT_PROGRAM)) throw new Error(`packaging/crid.service does not run ${UNIT_PROGRAM}`);
  return {
    unit: (path) => unit.replaceAll(UNIT_PROGRAM, path),
    files: [
      { path: 'bin/crid', content: { link: '../lib/crid/bin/crid' } },
      ...(await programFiles(edition)),
      ...native.files,
      ...(await manualFiles(edition)),
      ...completionFiles(),
      ...(await documentFiles(native.licences, sbom(parts, edition))),
    ],
  };
}

async function programFiles({ version }: Edition): Promise<TreeFile[]> {
  const bundle = (await readdir(join(projectRoot, BUNDLE))).filter((name) => name.endsWith('.js')).sort();
  const description = { name: 'crid', version, license: 'Apache-2.0', type: 'module' };
  return [
    { path: `${HOME}/bin/crid`, content: { copyOf: join(projectRoot, 'bin/crid') }, isProgram: true },
    { path: `${HOME}/package.json`, content: { text: `${JSON.stringify(description, undefined, 2)}\n` } },
    ...bundle.map((name) => ({
      path: `${HOME}/${BUNDLE}/${name}`,
      content: { copyOf: join(projectRoot, BUNDLE, name) },
    })),
  ];
}

/** Node.js, and koffi with its native part, which is loaded from a folder of its own. */
async function nativeParts(
  architecture: Architecture,
): Promise<{ files: TreeFile[]; parts: NpmPart[]; licences: string }> {
  const arch = ARCHITECTURES[architecture];
  const { version, integrity } = JSON.parse(await read('packaging/node.json')) as {
    version: string;
    integrity: Record<string, string | undefined>;
  };
  const pins = {
    node: { name: `node-linux-${arch}`, version, integrity: known(integrity[arch], `node-linux-${arch}`) },
    koffi: await lockedPackage('koffi'),
    native: await lockedPackage(`@koromix/koffi-linux-${arch}`),
  };
  const [node, koffi, native] = [
    await npmPackage(pins.node),
    await npmPackage(pins.koffi),
    await npmPackage(pins.native),
  ];
  const from = (folder: string, path: string, target: string, isProgram = false): TreeFile => ({
    path: `${HOME}/${target}`,
    content: { copyOf: join(folder, path) },
    isProgram,
  });
  const nativeFolder = `node_modules/${pins.native.name}`;
  const binary = `linux_${arch}/koffi.node`;
  return {
    files: [
      from(node, 'bin/node', 'bin/node', true),
      ...['package.json', 'index.js', 'src/koffi/index.js', 'src/koffi/src/static.js'].map((path) =>
        from(koffi, path, `node_modules/koffi/${path}`),
      ),
      ...['package.json', 'index.js', binary].map((path) => from(native, path, `${nativeFolder}/${path}`)),
    ],
    parts: [
      { ...pins.koffi, license: 'MIT' },
      { ...pins.native, license: 'MIT' },
      { ...pins.node, license: 'MIT', cpe: `cpe:2.3:a:nodejs:node.js:${version}:*:*:*:*:*:*:*` },
    ],
    // The native part has no licence file of its own; it is built of koffi's source.
    licences: licenceTexts(await Promise.all([koffi, node].map(licenceOf))),
  };
}

async function manualFiles(edition: Edition): Promise<TreeFile[]> {
  const documents = { readme: await read('README.md'), systemd: await read('docs/systemd.md') };
  const pages = {
    'man8/crid.8': cridPage(program, documents, edition),
    'man5/crid.toml.5': configurationPage(await read('docs/configuration.md'), edition),
  };
  return Object.entries(pages).map(([path, text]) => ({
    path: `share/man/${path}.gz`,
    content: { text: compressed(text) },
  }));
}

function completionFiles(): TreeFile[] {
  const nodes = commandNodes(program);
  return [
    { path: 'share/bash-completion/completions/crid', content: { text: bashCompletion(nodes) } },
    { path: 'share/fish/vendor_completions.d/crid.fish', content: { text: fishCompletion(nodes) } },
    { path: ZSH_COMPLETION, content: { text: zshCompletion(nodes) } },
  ];
}

async function documentFiles(licences: string, partList: string): Promise<TreeFile[]> {
  const bundled = await read(`${BUNDLE}/LICENSES.txt`);
  const folder = 'share/doc/crid';
  return [
    { path: `${folder}/LICENSES.txt`, content: { text: joined([bundled, licences]) } },
    { path: `${folder}/sbom.spdx.json`, content: { text: partList } },
    { path: `${folder}/changelog.gz`, content: { text: compressed(await read('CHANGELOG.md')) } },
    {
      path: `${folder}/examples/config.toml`,
      content: { text: configFile(optionRows(await read('docs/configuration.md'))) },
    },
    { path: `${folder}/examples/kubelet-crid.conf`, content: { text: await read('packaging/kubelet-crid.conf') } },
    ...(await clusterFiles(`${folder}/examples/clusters`)),
  ];
}

/** The manifests that docs/clusters.md describes. */
async function clusterFiles(folder: string) {
  const names = (await readdir(join(projectRoot, CLUSTERS))).sort();
  return Promise.all(
    names.map(async (name) => ({ path: `${folder}/${name}`, content: { text: await read(`${CLUSTERS}/${name}`) } })),
  );
}
