/**
 * Measures what hostile trees, account files and image configs cost crid: the longest stall of the event loop and the
 * growth of memory, each in its own process. `make bench-hostile` prints a table (docs/limits.md, "Measured").
 */
import { execFileSync } from 'node:child_process';
import { createReadStream, mkdtempSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { openRootfs } from '../../src/host/files/rootfs.js';
import { removeTree } from '../../src/host/files/files.js';
import { readUser } from '../../src/containers/read-user.js';
import { userRequest } from '../../src/spec/user/user.js';
import { readImage } from '../../src/state/image-content.js';

const FILES_PER_FOLDER = 1_000;
const DEEP_LEVELS = 40;
const DEEP_NAME_LENGTH = 200;
const ACCOUNT_BYTES = 16 * 1024 * 1024;
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
/** The size in which containerd sends a blob. */
const CHUNK_BYTES = 1 << 20;
const NS_PER_MS = 1e6;
const BYTES_PER_MIB = 1024 * 1024;
const SAMPLE_MS = 20;
const SETTLE_MS = 200;

const CASES: Readonly<Record<string, (folder: string) => Promise<void>>> = {
  'remove 100,000 files': (folder) => measured(manyFiles(folder, 100_000), removeTree),
  'remove 300,000 files': (folder) => measured(manyFiles(folder, 300_000), removeTree),
  'remove a tree deeper than PATH_MAX': (folder) => measured(deepTree(folder), removeTree),
  'copy a VOLUME of 10,000 files': (folder) => measured(manyFiles(folder, 10_000), copyVolume),
  'copy a VOLUME of 100,000 files': (folder) => measured(manyFiles(folder, 100_000), copyVolume),
  'passwd of 16 MiB: one line': (folder) => measured(accounts(folder, 'x'), lookUp),
  'passwd of 16 MiB: newlines': (folder) => measured(accounts(folder, '\n'), lookUp),
  'passwd of 16 MiB: entries': (folder) => measured(accounts(folder, 'user:x:1:1::/:\n'), lookUp),
  'group of 16 MiB: members of one group': (folder) => measured(accounts(folder, 'm,', 'g:x:5:'), lookUp),
  'image config of 8 MiB, parsed whole': (folder) => measured(config(folder, 8), parseWhole),
  'image config of 8 MiB': (folder) => measured(config(folder, 8), readConfig),
  'image config of 63 MiB': (folder) => measured(config(folder, 63), readConfig),
};

function manyFiles(folder: string, count: number): string {
  const root = join(folder, 'tree');
  for (let made = 0; made < count; made += FILES_PER_FOLDER) {
    const inside = join(root, String(made));
    mkdirSync(inside, { recursive: true });
    for (let index = 0; index < FILES_PER_FOLDER; index += 1) writeFileSync(join(inside, `file-${index}`), 'x');
  }
  return root;
}

function deepTree(folder: string): string {
  const name = 'd'.repeat(DEEP_NAME_LENGTH);
  execFileSync(
    'sh',
    ['-c', `mkdir tree; cd -P tree; for i in $(seq ${DEEP_LEVELS}); do mkdir ${name}; cd -P ${name}; done`],
    {
      cwd: folder,
    },
  );
  return join(folder, 'tree');
}

async function copyVolume(root: string): Promise<void> {
  const target = `${root}.copy`;
  mkdirSync(target);
  const rootfs = await openRootfs([{ type: 'bind', source: root, target: '', options: ['rbind'] }]);
  await rootfs.copyTree('/', target);
  await rootfs.close();
}

/** Writes both account files of an image's /etc, filled with the same text. */
function accounts(folder: string, text: string, head = ''): string {
  mkdirSync(join(folder, 'etc'));
  const body = head + text.repeat(Math.ceil(ACCOUNT_BYTES / text.length)).slice(0, ACCOUNT_BYTES - head.length);
  for (const name of ['passwd', 'group']) writeFileSync(join(folder, 'etc', name), body);
  return folder;
}

async function lookUp(folder: string): Promise<void> {
  const rootfs = await openRootfs([{ type: 'bind', source: folder, target: '', options: ['rbind'] }]);
  await readUser(rootfs, userRequest(undefined, '12345'));
  await rootfs.close();
}

/** An image config with an unknown field that is a list of empty objects. */
function config(folder: string, sizeMib: number): string {
  const path = join(folder, 'config');
  const objects = '{},'.repeat((sizeMib * BYTES_PER_MIB) / 3);
  writeFileSync(path, `{"architecture":"amd64","os":"linux","x":[${objects}{}],"rootfs":{"diff_ids":[]}}`);
  return path;
}

async function readConfig(path: string): Promise<void> {
  const manifest = Buffer.from(JSON.stringify({ config: { digest: 'config', size: 1 } }));
  await readImage(
    {
      async *stream(digest) {
        if (digest === 'config') yield* createReadStream(path, { highWaterMark: CHUNK_BYTES });
        else yield manifest;
      },
    },
    { media_type: MANIFEST_TYPE, digest: 'manifest', size: BigInt(manifest.length), annotations: {} },
  );
}

/** For comparison: the cost of an image config that is parsed without `readImage` and stays in memory. */
const parsed: unknown[] = [];
async function parseWhole(path: string): Promise<void> {
  parsed.push(JSON.parse(readFileSync(path, 'utf8')));
}

async function measured(subject: string, work: (subject: string) => Promise<void>): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const before = process.memoryUsage().rss;
  let most = before;
  const sampler = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), SAMPLE_MS);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
  const startMs = performance.now();
  const outcome = await work(subject).then(
    () => 'done',
    (thrown: unknown) => String((thrown as Error).message).slice(0, 60),
  );
  const tookMs = performance.now() - startMs;
  await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
  delay.disable();
  clearInterval(sampler);
  most = Math.max(most, process.memoryUsage().rss);
  const cells = [tookMs, delay.max / NS_PER_MS, (most - before) / BYTES_PER_MIB].map((value) => value.toFixed(0));
  process.stdout.write(`| ${cells.join(' | ')} | ${outcome} |\n`);
}

const [, program = '', only] = process.argv;
if (only === undefined) {
  process.stdout.write(
    '| case | took (ms) | longest stall (ms) | memory added (MiB) | outcome |\n| --- | --- | --- | --- | --- |\n',
  );
  for (const name of Object.keys(CASES)) {
    process.stdout.write(`| ${name} ${execFileSync(process.execPath, [program, name], { encoding: 'utf8' })}`);
  }
} else {
  const folder = mkdtempSync(join(process.env['CRID_BENCH_DIR'] ?? tmpdir(), 'crid-hostile-'));
  try {
    await CASES[only]?.(folder);
  } finally {
    execFileSync('rm', ['-rf', folder]);
  }
}
