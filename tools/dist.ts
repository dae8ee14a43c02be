import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { buildPackages, emptyFolder, FORMATS, writeSums, type Format } from './dist/build.js';
import { ARCHITECTURES, architectureOf } from './stack/architectures.js';
import { run } from './stack/exec.js';
import { projectRoot } from './stack/project.js';

/**
 * `dist.js [--out FOLDER] [--arch amd64|arm64]… [--format tar.gz|deb]… [--version VERSION] [--level 0-9]`: builds the
 * packages for nodes without Node.js from build/bundle/. The times in them are SOURCE_DATE_EPOCH, else the time of the
 * last commit.
 */

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: join(projectRoot, 'build', 'dist') },
    arch: { type: 'string', multiple: true, default: Object.keys(ARCHITECTURES) },
    format: { type: 'string', multiple: true, default: [...FORMATS] },
    version: { type: 'string' },
    level: { type: 'string', default: '6' },
  },
});

const out = resolve(values.out);
const version = values.version ?? (await ownVersion());
const epoch = Number(process.env['SOURCE_DATE_EPOCH'] ?? (await commitTime()));
if (!Number.isSafeInteger(epoch)) throw new Error('SOURCE_DATE_EPOCH: expected seconds since 1970');
if (!/^\d[A-Za-z0-9.+~-]*$/.test(version)) throw new Error(`--version ${version}: expected a version`);
if (!/^\d$/.test(values.level)) throw new Error(`--level ${values.level}: expected 0 to 9`);
const architectures = values.arch.map(architectureOf);
const formats = values.format.map(formatOf);

await emptyFolder(out);
for (const architecture of architectures) {
  await buildPackages(out, { version, architecture, epoch }, { formats, level: Number(values.level) });
}
await writeSums(out);
process.stdout.write(await readFile(join(out, 'SHA256SUMS'), 'utf8'));

async function ownVersion(): Promise<string> {
  const description = await readFile(join(projectRoot, 'package.json'), 'utf8');
  return (JSON.parse(description) as { version: string }).version;
}

async function commitTime(): Promise<string> {
  return (await run('git', ['log', '-1', '--format=%ct'], { cwd: projectRoot })).trim();
}

function formatOf(name: string): Format {
  const found = FORMATS.find((each) => each === name);
  if (!found) throw new Error(`--format ${name}: expected one of ${FORMATS.join(', ')}`);
  return found;
}
