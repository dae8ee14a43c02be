import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { FifoReader } from '../../../../src/stdio/worker/fifo-reader.js';
import { openLogFile, type LogFile } from '../../../../src/stdio/worker/log-file.js';
import { openSpooledLog } from '../../../../src/stdio/worker/spooled-log.js';
import { readLog, uncounted } from '../helpers.js';

const CHUNKS = ['one\ntwo\nth', 'ree\nfour', '\nfive\n'];
const LINES = ['one', 'two', 'three', 'four', 'five'];
const KILLED = 'killed';

/** Writes of the log, cut off at a point of their order as a kill would cut them off. */
const KILLS: Readonly<Record<string, (log: LogFile, path: string) => LogFile['write']>> = {
  'before the note of the write': () => () => {
    throw new Error(KILLED);
  },
  'before the write': (_log, path) => (_bytes, before) => {
    before(placeOf(path));
    throw new Error(KILLED);
  },
  'in the middle of the write': (_log, path) => (bytes, before) => {
    before(placeOf(path));
    appendFileSync(path, bytes.subarray(0, bytes.length / 2));
    throw new Error(KILLED);
  },
  'after the write': (log) => (bytes, before) => {
    log.write(bytes, before);
    throw new Error(KILLED);
  },
};

const placeOf = (path: string) => {
  const { dev, ino, size } = statSync(path);
  return { device: dev, inode: ino, size };
};

for (const [when, dying] of Object.entries(KILLS))
  for (const at of CHUNKS.keys())
    test(`a kill ${when} of batch ${at + 1}: each line is in the log once`, (t) => {
      const { open, path, fifo, source } = lab(t);
      const log = open();
      const write = dying(log, path);
      const dyingLog = {
        ...log,
        write: (...args: Parameters<typeof write>) => (batch === at ? write : log.write)(...args),
      };
      let batch = 0;
      const spooled = openSpooledLog(source, dyingLog, 0);
      assert.throws(() => {
        for (; ; batch++) spooled.append(spooled.take(fifo) ?? assert.fail('the write was not reached'));
      }, new Error(KILLED));

      const next = openSpooledLog(source, open(), 0);
      for (let bytes = next.take(fifo); bytes?.length; bytes = next.take(fifo)) next.append(bytes);
      next.close();
      assert.deepEqual(
        readLog(path).map(({ content }) => content),
        LINES,
      );
    });

test('the unfinished line is written as a piece when the log is closed, once', (t) => {
  const { open, path, fifo, source } = lab(t);
  const spooled = openSpooledLog(source, open(), 0);
  spooled.append(spooled.take(fifo) ?? assert.fail());
  spooled.close();
  spooled.close();
  assert.deepEqual(
    readLog(path).map(({ tag, content }) => `${tag} ${content}`),
    ['F one', 'F two', 'P th'],
  );
});

test('an empty log stays empty', (t) => {
  const { open, path, source } = lab(t);
  openSpooledLog(source, open(), 0).close();
  assert.equal(readFileSync(path, 'utf8'), '');
});

/** A log, and a FIFO that has CHUNKS. */
function lab(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'crid-spooled-'));
  const path = join(folder, '0.log');
  const logs: LogFile[] = [];
  t.after(() => {
    for (const log of logs) log.close();
    rmSync(folder, { recursive: true });
  });
  const open = (): LogFile => {
    const log = openLogFile({
      file: { directory: folder, path: '0.log' },
      mustOpen: true,
      counter: uncounted(),
      onTrouble: (error) => assert.fail(error),
      onRecovered: () => undefined,
    });
    logs.push(log);
    return log;
  };
  const chunks = CHUNKS.map((chunk) => Buffer.from(chunk));
  const fifo: FifoReader = {
    read: () => assert.fail('not spooled'),
    moveTo: (file, offset) => {
      const chunk = chunks.shift() ?? Buffer.alloc(0);
      return chunk.length === 0 ? 0 : writeSync(file, chunk, 0, chunk.length, offset);
    },
    resume: () => undefined,
    pause: () => undefined,
    close: () => undefined,
  };
  return { open, path, fifo, source: { name: 'stdout' as const, path: join(folder, 'c1-stdout') } };
}
