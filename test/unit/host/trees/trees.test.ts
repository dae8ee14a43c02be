import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  closeSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { readdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CriError } from '../../../../src/base/errors.js';
import { removeTree } from '../../../../src/host/files/files.js';
import { mountTmpfs, unmount } from '../../../../src/host/mount/mount-calls.js';
import { relabelTree } from '../../../../src/host/security/host-selinux.js';
import { runTreeJob } from '../../../../src/host/trees/tree-threads.js';
import { mountHung } from '../../../harness/hung-mount.js';
import { countFds, folderFor } from '../helpers.js';

/** Creates nested directories with names of 200 characters, deeper than PATH_MAX. */
function deepTree(folder: string, levels: number): string {
  const name = 'd'.repeat(200);
  const loop = `mkdir tree; cd -P tree; for i in $(seq ${levels}); do mkdir ${name}; echo x >file; cd -P ${name}; done`;
  execFileSync('sh', ['-c', loop], { cwd: folder });
  return join(folder, 'tree');
}

function manyFiles(root: string, folders: number, files: number): void {
  for (let outer = 0; outer < folders; outer += 1) {
    mkdirSync(join(root, String(outer)), { recursive: true });
    for (let inner = 0; inner < files; inner += 1) writeFileSync(join(root, String(outer), String(inner)), 'x');
  }
}

async function copy(source: string, destination: string, signal?: AbortSignal): Promise<void> {
  mkdirSync(destination);
  const fd = openSync(source, 'r');
  try {
    await runTreeJob({ kind: 'copy', path: destination, source: fd, destination }, signal);
  } finally {
    closeSync(fd);
  }
}

test('a tree deeper than PATH_MAX is removed, with a bounded number of descriptors', async (t) => {
  const folder = folderFor(t);
  const tree = deepTree(folder, 100);
  await removeTree(join(folder, 'none'));
  await removeTree(tree);
  assert.equal(existsSync(tree), false);
});

test('a removal of many files leaves the event loop alone', async (t) => {
  const tree = join(folderFor(t), 'tree');
  manyFiles(tree, 4, 1_000);
  const before = performance.eventLoopUtilization();
  await removeTree(tree);
  const { utilization } = performance.eventLoopUtilization(before);
  assert.equal(existsSync(tree), false);
  assert.ok(utilization < 0.5, `the event loop was busy for ${utilization} of the time`);
});

test('an aborted removal ends at once, and a repeat goes on', async (t) => {
  const tree = join(folderFor(t), 'tree');
  manyFiles(tree, 8, 500);
  const fds = countFds();
  const abort = new AbortController();
  const removal = removeTree(tree, abort.signal);
  const isWhole = () => readdirSync(tree).every((name) => readdirSync(join(tree, name)).length === 500);
  while (isWhole()) await sleep(1);
  abort.abort(new CriError('DEADLINE_EXCEEDED', 'too long'));
  await assert.rejects(removal, { code: 'DEADLINE_EXCEEDED', message: 'too long' });
  assert.equal(existsSync(tree), true);
  assert.ok(countFds() <= fds + 4, 'the walk has closed its descriptors');
  await removeTree(tree);
  assert.equal(existsSync(tree), false);
});

test('a removal does not enter a mount', async (t) => {
  const tree = join(folderFor(t), 'tree');
  const mounted = join(tree, 'some', 'mounted');
  mkdirSync(mounted, { recursive: true });
  await mountTmpfs(mounted, { sizeBytes: 65_536, mode: 0o700 });
  writeFileSync(join(mounted, 'kept'), 'kept');
  try {
    await assert.rejects(runTreeJob({ kind: 'remove', path: tree }), {
      code: 'FAILED_PRECONDITION',
      message: `remove ${mounted}: EBUSY: something is mounted there`,
    });
    assert.equal(readFileSync(join(mounted, 'kept'), 'utf8'), 'kept');
  } finally {
    await unmount(mounted, { detach: false });
  }
});

test('copies a tree deeper than PATH_MAX whole', async (t) => {
  const folder = folderFor(t);
  const tree = deepTree(folder, 100);
  writeFileSync(join(tree, 'z-last'), 'last');
  await copy(tree, join(folder, 'copy'));
  const count = (root: string): string =>
    execFileSync('sh', ['-c', 'find . -printf "%d %y %f %m\n" | sort | md5sum'], { cwd: root, encoding: 'utf8' });
  assert.equal(count(join(folder, 'copy')), count(tree));
  execFileSync('rm', ['-rf', tree, join(folder, 'copy')]);
});

test('copies sockets, holes, large files, times before 1970 and links of one file in several folders', async (t) => {
  const folder = folderFor(t);
  const [tree, target] = [join(folder, 'tree'), join(folder, 'copy')];
  mkdirSync(join(tree, 'a'), { recursive: true });
  mkdirSync(join(tree, 'b'));
  const server = createServer().listen(join(tree, 'socket'));
  t.after(() => server.close());
  const large = openSync(join(tree, 'large'), 'w');
  writeSync(large, Buffer.alloc(3 * 1024 * 1024, 'l'), 0, 3 * 1024 * 1024, 64 * 1024 * 1024);
  closeSync(large);
  truncateSync(join(tree, 'large'), 100 * 1024 * 1024);
  writeFileSync(join(tree, 'a', 'one'), 'one');
  linkSync(join(tree, 'a', 'one'), join(tree, 'b', 'two'));
  utimesSync(join(tree, 'a', 'one'), new Date(-1_500), new Date(-2_250));
  await copy(tree, target);
  const copied = lstatSync(join(target, 'large'));
  const { mtimeMs, ino, nlink } = lstatSync(join(target, 'a', 'one'));
  assert.deepEqual(
    {
      socket: lstatSync(join(target, 'socket')).isSocket(),
      same: readFileSync(join(target, 'large')).equals(readFileSync(join(tree, 'large'))),
      holes: copied.blocks * 512 < 8 * 1024 * 1024,
      link: [mtimeMs, nlink, lstatSync(join(target, 'b', 'two')).ino === ino],
    },
    { socket: true, same: true, holes: true, link: [-2250, 2, true] },
  );
});

test('an aborted copy ends before it is whole', async (t) => {
  const folder = folderFor(t);
  manyFiles(join(folder, 'tree'), 4, 1_000);
  const abort = new AbortController();
  const copying = copy(join(folder, 'tree'), join(folder, 'copy'), abort.signal);
  while (readdirSync(join(folder, 'copy')).length === 0) await sleep(1);
  abort.abort(new CriError('ABORTED', 'undone'));
  await assert.rejects(copying, { code: 'ABORTED' });
  assert.ok((await readdir(join(folder, 'copy'), { recursive: true })).length < 4_004);
});

test('a relabel takes all of a tree and follows no link out of it', async (t) => {
  const folder = folderFor(t);
  const tree = join(folder, 'tree');
  mkdirSync(join(tree, 'sub', 'deep'), { recursive: true });
  writeFileSync(join(folder, 'outside'), '');
  writeFileSync(join(tree, 'sub', 'deep', 'file'), '');
  symlinkSync(folder, join(tree, 'sub', 'link'));
  const label = 'system_u:object_r:container_file_t:s0';
  await relabelTree(tree, label, 'field');
  const has = (path: string): boolean => {
    const list = execFileSync('python3', ['-c', LIST_LABEL, join(folder, path)], { encoding: 'utf8' });
    return list.includes(label);
  };
  assert.deepEqual(
    ['tree', 'tree/sub', 'tree/sub/link', 'tree/sub/deep', 'tree/sub/deep/file', '', 'outside'].map(has),
    [true, true, true, true, true, false, false],
  );
});

const LIST_LABEL = `
import os, sys
try: print(os.getxattr(sys.argv[1], "security.selinux", follow_symlinks=False).decode())
except OSError: print("none")`;

test('trees on a dead file server hold four threads of a kind; the next is refused by their names, other kinds go on', async (t) => {
  const folder = folderFor(t);
  const hung = join(folder, 'hung');
  mkdirSync(hung);
  const mount = mountHung(hung);
  t.after(() => mount.release());
  // Advances the time that threads have been silent, without waiting.
  const now = performance.now.bind(performance);
  let laterMs = 0;
  t.mock.method(performance, 'now', () => now() + laterMs);
  const relabel = (path: string): Promise<string> =>
    runTreeJob({ kind: 'relabel', path, label: 'system_u:object_r:x_t:s0' }).then(
      () => 'done',
      (thrown: unknown) => `${CriError.from(thrown).code} ${CriError.from(thrown).message}`,
    );
  const jobs: Promise<string>[] = [];
  const refused = async (): Promise<string> => {
    for (let tries = 0; tries < 100; tries += 1) {
      const job = relabel(join(hung, String(tries)));
      const outcome = await Promise.race([job, sleep(200, undefined)]);
      if (outcome !== undefined) return outcome;
      jobs.push(job);
      // A thread that is still starting does not count as silent, and gets the next job too.
      laterMs += 5_001;
    }
    return 'never';
  };
  const message = /^UNAVAILABLE relabel \S+: these paths have not answered for 5 s: (.*)$/.exec(await refused())?.[1];
  assert.equal(message?.split(', ').length, 4);
  writeFileSync(join(folder, 'file'), '');
  await removeTree([join(folder, 'file')]);
  assert.equal(existsSync(join(folder, 'file')), false);
  mount.release();
  const outcomes = await Promise.all(jobs);
  assert.deepEqual(
    outcomes.filter((outcome) => outcome === 'done'),
    [],
  );
});
