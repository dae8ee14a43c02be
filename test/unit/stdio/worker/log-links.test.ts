import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, readFileSync, renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CriError } from '../../../../src/base/errors.js';
import { writeCheckpointFiles } from '../../../../src/containers/checkpoint-files.js';
import { makeFifo } from '../../../../src/host/pipe/fifo.js';
import { openLogFile } from '../../../../src/stdio/worker/log-file.js';
import { exited, readLog, requestIn, setUp, shell, uncounted } from '../helpers.js';

/** Symbolic links and other files at paths where crid writes or reads a log. */

const SECRET = 'not for the log\n';

const refused =
  (text: string) =>
  (thrown: unknown): boolean =>
    thrown instanceof CriError && thrown.code === 'FAILED_PRECONDITION' && thrown.message.includes(text);

/** A log directory with a secret file beside it. */
function lab(folder: string) {
  const [logs, secret] = [join(folder, 'logs'), join(folder, 'secret')];
  mkdirSync(logs);
  writeFileSync(secret, SECRET);
  const request = requestIn(folder, { logDirectory: logs, logPath: join(logs, 'app', '0.log') });
  return { logs, secret, request, unharmed: (): boolean => readFileSync(secret, 'utf8') === SECRET };
}

test('a link in place of the log is refused, and its target is not touched', async (t) => {
  const { folder, stdio } = setUp(t);
  const { logs, secret, request, unharmed } = lab(folder);
  mkdirSync(join(logs, 'app'));
  symlinkSync(secret, join(logs, 'app', '0.log'));
  await assert.rejects(stdio.open(request), refused('a symbolic link'));
  assert.ok(unharmed());
});

test('a dangling link is refused, and no file is created through it', async (t) => {
  const { folder, stdio } = setUp(t);
  const { logs, request } = lab(folder);
  mkdirSync(join(logs, 'app'));
  symlinkSync(join(folder, 'made'), join(logs, 'app', '0.log'));
  await assert.rejects(stdio.open(request), refused('a symbolic link'));
  assert.equal(lstatSync(join(folder, 'made'), { throwIfNoEntry: false }), undefined);
});

test('a link in place of a directory below the log directory is refused', async (t) => {
  const { folder, stdio } = setUp(t);
  const { logs, request } = lab(folder);
  mkdirSync(join(folder, 'elsewhere'));
  symlinkSync(join(folder, 'elsewhere'), join(logs, 'app'));
  await assert.rejects(stdio.open(request), refused('a symbolic link'));
  assert.equal(lstatSync(join(folder, 'elsewhere', '0.log'), { throwIfNoEntry: false }), undefined);
});

test('a fifo and a device in place of the log are refused', async (t) => {
  const { folder, stdio } = setUp(t);
  const { logs, request } = lab(folder);
  mkdirSync(join(logs, 'app'));
  makeFifo(join(logs, 'app', '0.log'), 0o600);
  await assert.rejects(stdio.open(request), refused('not a regular file'));
  await assert.rejects(stdio.open(requestIn(folder, { logPath: '/dev/full' })), refused('not a regular file'));
});

test('a link that an operator made above the log directory is followed', async (t) => {
  const { folder, stdio } = setUp(t);
  const { logs } = lab(folder);
  symlinkSync(logs, join(folder, 'pods'));
  const directory = join(folder, 'pods', 'pod');
  const request = requestIn(folder, { logDirectory: directory, logPath: join(directory, 'app', '0.log') });
  const io = await stdio.open(request);
  await exited(shell('exec >$OUT 2>$ERR; echo one', io.paths));
  assert.equal(await io.drained(20_000), true);
  assert.deepEqual(
    readLog(join(logs, 'pod', 'app', '0.log')).map(({ content }) => content),
    ['one'],
  );
});

test('a link that takes the place of the log at a rotation is refused, and lines go to the renamed file', async (t) => {
  const { folder, stdio } = setUp(t);
  const { logs, secret, request, unharmed } = lab(folder);
  const io = await stdio.open(request);
  const log = join(logs, 'app', '0.log');
  renameSync(log, `${log}.1`);
  symlinkSync(secret, log);
  await assert.rejects(io.reopenLog(), refused('a symbolic link'));
  await exited(shell('exec >$OUT 2>$ERR; echo one', io.paths));
  assert.equal(await io.drained(20_000), true);
  assert.deepEqual([readLog(`${log}.1`).map(({ content }) => content), unharmed()], [['one'], true]);
});

test('a link beside the log is not mistaken for the rotated log, and its target is not truncated', (t) => {
  const { folder } = setUp(t);
  const { logs, secret, unharmed } = lab(folder);
  symlinkSync(secret, join(logs, '0.log.1'));
  const told: string[] = [];
  const log = openLogFile({
    file: { directory: logs, path: '0.log' },
    mustOpen: true,
    counter: uncounted(),
    onTrouble: (error) => told.push(error),
    onRecovered: () => undefined,
  });
  const { dev, ino } = statSync(secret);
  const written = [
    log.wasWritten({ device: dev, inode: ino, size: 4 }, 100),
    log.wasWritten({ device: dev, inode: ino, size: 4 }, 2),
  ];
  log.close();
  assert.deepEqual([written, unharmed(), told], [[false, false], true, []]);
});

test('the inode of a noted log counts with its device', (t) => {
  const { folder } = setUp(t);
  const { logs } = lab(folder);
  writeFileSync(join(logs, '0.log'), 'twelve bytes');
  const log = openLogFile({
    file: { directory: logs, path: '0.log' },
    mustOpen: true,
    counter: uncounted(),
    onTrouble: () => undefined,
    onRecovered: () => undefined,
  });
  const { dev, ino } = statSync(join(logs, '0.log'));
  const wasWritten = [dev + 1, dev, 0].map((device) => log.wasWritten({ device, inode: ino, size: 2 }, 10));
  log.close();
  assert.deepEqual(wasWritten, [false, true, true]);
});

test('a checkpoint does not follow a link in place of the log', async (t) => {
  const { folder } = setUp(t);
  const { logs, secret } = lab(folder);
  symlinkSync(secret, join(logs, '0.log'));
  const container = { logPath: join(logs, '0.log'), config: { log_path: '0.log' } };
  const made = (name: string): string => join(folder, `made-${name}`);
  await assert.rejects(writeCheckpointFiles({}, container as never, made));
  assert.equal(lstatSync(made('container.log'), { throwIfNoEntry: false }), undefined);
});
