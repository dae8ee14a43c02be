import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { processExists } from '../../../../src/host/process/processes.js';
import { spawnProgram } from '../../../../src/host/process/spawn.js';
import { errnoName } from '../../../../src/host/syscall/errno.js';
import { countFds, folderFor } from '../helpers.js';

const PATH = process.env['PATH'] ?? '';

/** Writes an executable shell script. */
function script(folder: string, commands: string): string {
  const path = join(folder, 'script');
  writeFileSync(path, `#!/bin/sh\n${commands}\n`, { mode: 0o755 });
  return path;
}

/** Returns the pid that a script prints. */
const printedPid = (stdout: NodeJS.ReadableStream): Promise<number> =>
  new Promise((resolve) => stdout.once('data', (data) => resolve(Number(data))));

// This test is first, because the pipes of the others may still be closing.
test('a program that cannot be started says why and leaves no descriptor open', async (t) => {
  const folder = folderFor(t);
  const open = countFds();
  const reasons: (string | undefined)[] = [];
  for (const path of [`${folder}/none`, folder]) {
    await spawnProgram(path, {}).catch((thrown: unknown) => reasons.push(errnoName(thrown)));
  }
  assert.deepEqual([reasons, countFds()], [['ENOENT', 'EACCES'], open]);
});

test('a program gets its input, its environment and nothing else, in / and in a session of its own', async (t) => {
  const reads = script(folderFor(t), 'read line; echo "$line $NAME $HOME $(pwd)"; cat /proc/$$/stat >&2; exit 3');
  const child = await spawnProgram(reads, { NAME: 'a value' });
  child.stdin.end('input\n');
  const [stdout, stderr, exit] = await Promise.all([text(child.stdout), text(child.stderr), child.exited]);
  const [pid, , , , group, session] = stderr.split(' ');
  assert.deepEqual(
    { stdout, exit, group, session, exists: processExists(Number(pid)) },
    { stdout: 'input a value  /\n', exit: { code: 3 }, group: pid, session: pid, exists: false },
  );
});

test('a group is killed whole; what has ended by a signal says which', async (t) => {
  const child = await spawnProgram(script(folderFor(t), 'sleep 60 & echo $!; wait'), { PATH });
  await printedPid(child.stdout);
  await child.killGroup();
  assert.deepEqual(await child.exited, { signal: 'SIGKILL' });
  // The pipe closes once no process has it open, including the script's child.
  if (!child.stdout.closed) await once(child.stdout, 'close');
  await child.killGroup();
});

test('the end of a process is noticed while another holds its pipes', async (t) => {
  const child = await spawnProgram(script(folderFor(t), 'sleep 60 & echo $!'), { PATH });
  const daemon = await printedPid(child.stdout);
  assert.deepEqual([await child.exited, child.stdout.closed], [{ code: 0 }, false]);
  process.kill(daemon);
});
