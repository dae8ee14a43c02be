import { createHash } from 'node:crypto';
import type { Contract } from './licences.js';

/** A part of the distribution that comes from npm. */
export interface NpmPart {
  readonly name: string;
  readonly version: string;
  /** An SPDX expression. */
  readonly license: string;
  /** The registry's checksum, `sha512-BASE64`. */
  readonly integrity: string;
  /** Another name for the part than npm's, for those who look for known vulnerabilities. */
  readonly cpe?: string;
}

/** An entry of the list: its fields that differ between npm and Go. */
export interface Part {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly copyright: string;
  readonly location: string;
  readonly checksums: readonly object[];
  readonly references: readonly object[];
}

export interface Edition {
  readonly version: string;
  readonly architecture: string;
  /** Seconds since 1970. */
  readonly epoch: number;
}

export function npmPart({ name, version, license, integrity, cpe }: NpmPart): Part {
  const file = `${name.replace(/^.*\//, '')}-${version}.tgz`;
  const digest = Buffer.from(integrity.replace(/^sha512-/, ''), 'base64').toString('hex');
  return {
    ...{ name, version, license, copyright: 'NOASSERTION' },
    location: `https://registry.npmjs.org/${name}/-/${file}`,
    checksums: [{ algorithm: 'SHA512', checksumValue: digest }],
    references: [
      purl(`npm/${name.replace('@', '%40')}@${version}`),
      ...(cpe === undefined
        ? []
        : [{ referenceCategory: 'SECURITY', referenceType: 'cpe23Type', referenceLocator: cpe }]),
    ],
  };
}

/** Code that is generated from declarations like those of a Go module: no file of the module is in it. */
export const goPart = ({ name, version, license, copyright }: Contract): Part => ({
  ...{ name, version, license, copyright },
  location: 'NOASSERTION',
  checksums: [],
  references: [purl(`golang/${name}@${version}`)],
});

const purl = (locator: string): object => ({
  referenceCategory: 'PACKAGE-MANAGER',
  referenceType: 'purl',
  referenceLocator: `pkg:${locator}`,
});

/** Returns the list of all parts in the form of SPDX 2.3. The same input gives the same bytes. */
export function sbom(parts: readonly Part[], { version, architecture, epoch }: Edition): string {
  const packages = [
    {
      SPDXID: 'SPDXRef-crid',
      name: 'crid',
      versionInfo: version,
      downloadLocation: 'NOASSERTION',
      filesAnalyzed: false,
      licenseConcluded: 'Apache-2.0',
      licenseDeclared: 'Apache-2.0',
      copyrightText: 'NOASSERTION',
      primaryPackagePurpose: 'APPLICATION',
    },
    ...parts.map(partEntry),
  ];
  const digest = createHash('sha256').update(JSON.stringify(packages)).digest('hex');
  const name = `crid-${version}-linux-${architecture}`;
  const document = {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name,
    // A name, not an address: it differs whenever the parts do.
    documentNamespace: `https://spdx.org/spdxdocs/${name}-${digest}`,
    creationInfo: {
      created: new Date(epoch * 1000).toISOString().replace(/\.\d+Z$/, 'Z'),
      creators: ['Tool: crid-dist'],
    },
    packages,
    relationships: [
      { spdxElementId: 'SPDXRef-DOCUMENT', relationshipType: 'DESCRIBES', relatedSpdxElement: 'SPDXRef-crid' },
      ...parts.map((part) => ({
        spdxElementId: 'SPDXRef-crid',
        relationshipType: 'CONTAINS',
        relatedSpdxElement: idOf(part),
      })),
    ],
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

function partEntry(part: Part): object {
  const { name, version, license, copyright, location, checksums, references } = part;
  return {
    SPDXID: idOf(part),
    name,
    versionInfo: version,
    downloadLocation: location,
    filesAnalyzed: false,
    ...(checksums.length > 0 && { checksums }),
    licenseConcluded: 'NOASSERTION',
    licenseDeclared: license,
    copyrightText: copyright,
    externalRefs: references,
  };
}

const idOf = ({ name, version }: Part): string => `SPDXRef-${`${name}-${version}`.replaceAll(/[^A-Za-z0-9.-]/g, '-')}`;
