import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { projectRoot } from '../stack/project.js';

export interface Licence {
  readonly folder: string;
  readonly name: string;
  readonly version: string;
  /** An SPDX expression. */
  readonly license: string;
  /** The files that contain its licence, one or more. */
  readonly texts: readonly string[];
}

/** The declarations of another project, which a part of `protos/` repeats. */
export interface Contract {
  /** The Go module. */
  readonly name: string;
  readonly version: string;
  /** An SPDX expression. */
  readonly license: string;
  readonly copyright: string;
}

const PACKAGING = join(projectRoot, 'packaging');

/**
 * Reads the licence of the npm package in a folder. The text of a package that comes without it is in
 * `packaging/licences/`.
 */
export async function licenceOf(folder: string): Promise<Licence> {
  const { name, version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as {
    name: string;
    version: string;
    license?: string;
  };
  if (license === undefined) throw new Error(`${name} does not name its licence`);
  const files = (await readdir(folder)).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file)).sort();
  const own = join(PACKAGING, 'licences', `${name.replace('/', '+')}.txt`);
  const paths = files.length > 0 ? files.map((file) => join(folder, file)) : existsSync(own) ? [own] : [];
  if (paths.length === 0) throw new Error(`${name} has no text of its licence, and ${own} does not exist`);
  const texts = await Promise.all(paths.map((path) => readFile(path, 'utf8')));
  return { folder, name, version, license, texts };
}

/** Reads the list of the projects whose declarations `protos/` repeats. */
export const contracts = async (): Promise<Contract[]> =>
  JSON.parse(await readFile(join(PACKAGING, 'contracts.json'), 'utf8')) as Contract[];

/** Returns the name, version and licence texts of all packages as one text. */
export const licenceTexts = (licences: readonly Licence[]): string =>
  joined(licences.map((licence) => [title(licence), ...licence.texts].join('\n')));

/** Returns the notices of the declarations in `protos/`, with the licence that all of them and crid have. */
export async function contractTexts(): Promise<string> {
  const notices = (await contracts()).map((contract) => `${title(contract)}${contract.copyright}\n`);
  return [...notices, await readFile(join(projectRoot, 'LICENSE'), 'utf8')].join('\n');
}

/** Joins entries by a line between them. */
export const joined = (entries: readonly string[]): string => entries.join(`\n${'-'.repeat(80)}\n`);

const title = ({ name, version, license }: Omit<Contract, 'copyright'>): string => `${name} ${version}: ${license}\n`;
