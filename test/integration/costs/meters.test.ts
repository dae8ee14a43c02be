import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { installMissing, kernelMeter } from './meters.js';

before(installMissing);

/** Asked by a line, calls fsync once on its main thread, twice on a new thread, and once in another process. */
const PROGRAM = `
  const { closeSync, fsyncSync, openSync } = require('node:fs');
  const { spawnSync } = require('node:child_process');
  const { Worker } = require('node:worker_threads');
  const file = process.argv[1];
  process.stdin.on('data', () => {
    const fd = openSync(file, 'w');
    fsyncSync(fd);
    const twice = 'const { fdatasyncSync, fsyncSync } = require("node:fs"); fsyncSync(' + fd + '); fdatasyncSync(' + fd + ')';
    new Worker(twice, { eval: true }).on('exit', () => {
      closeSync(fd);
      spawnSync('sync', [file]);
      console.log('done');
    });
  });
  console.log('ready');
`;

test('the fsyncs of all threads are counted, also of those born later, and not those of other processes', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'crid-meters-'));
  const program = spawn(process.execPath, ['-e', PROGRAM, join(dir, 'file')], { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(program.stdout, 'data');
  const meter = await kernelMeter(program.pid ?? 0, dir);
  t.after(async () => {
    await meter.close();
    program.kill('SIGKILL');
    await rm(dir, { recursive: true });
  });
  const begin = await meter.read();
  for (let round = 0; round < 2; round++) {
    program.stdin.write('go\n');
    await once(program.stdout, 'data');
  }
  const end = await meter.read();
  const more = (name: string): number => (end[name] ?? 0) - (begin[name] ?? 0);
  assert.deepEqual([more('fsyncs'), more('processes')], [6, 2]);
});
