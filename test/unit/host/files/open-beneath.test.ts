import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { folderFor } from '../helpers.js';

const source = fileURLToPath(new URL('../../../../src/host/files/open-beneath.js', import.meta.url));

test('a file beneath a directory is opened without following a link, with openat2 and without it', (t) => {
  const folder = folderFor(t);
  const directory = join(folder, 'logs');
  mkdirSync(join(directory, 'pod', 'app'), { recursive: true });
  writeFileSync(join(directory, 'pod', 'app', '0.log'), 'lines');
  writeFileSync(join(folder, 'secret'), 'the host');
  symlinkSync('../../../secret', join(directory, 'pod', 'app', 'link'));
  symlinkSync('..', join(directory, 'pod', 'up'));
  const program = `
    const { closeBeneath, openDirectoryBeneath, openFileBeneath, makeDirectoriesBeneath, readFileBeneath } =
      await import('${source}');
    const { constants, readFileSync } = await import('node:fs');
    const directory = '${directory}';
    const tried = async (work) => {
      try { return await work(); } catch (thrown) { return thrown.code === 'NOT_FOUND' ? 'missing' : 'refused'; }
    };
    const text = (path, flags = 0) => tried(() => readFileSync(openFileBeneath({ directory, path }, flags, flags && 0o600), 'utf8'));
    const found = [];
    for (const path of ['pod/app/0.log', './pod//app/0.log', 'pod/app/link', 'pod/up/pod/app/0.log', 'pod/app', 'none/0.log'])
      found.push(await text(path));
    found.push(await text('pod/app/new', constants.O_CREAT | constants.O_RDWR));
    for (const path of ['pod/app/0.log', 'pod/app/link', 'pod/none'])
      found.push(await tried(async () => { const fd = await readFileBeneath({ directory, path }); return fd && readFileSync(fd, 'utf8'); }));
    found.push(await tried(() => openDirectoryBeneath({ directory, path: 'pod/up' }) !== undefined));
    found.push(await tried(() => makeDirectoriesBeneath({ directory, path: 'x/y' }, 0o755)));
    found.push(openDirectoryBeneath({ directory, path: 'x/y' }) !== undefined, openDirectoryBeneath({ directory, path: 'x/z' }));
    console.log(JSON.stringify(found));`;
  const run = (calls: string): unknown => {
    const env = { ...process.env, CRID_FAULT_ENOSYS: calls };
    const ran = spawnSync(process.execPath, ['--input-type=module', '-e', program], { env, encoding: 'utf8' });
    assert.equal(ran.status, 0, ran.stderr);
    return JSON.parse(ran.stdout);
  };
  const wanted = [
    ...['lines', 'lines', 'refused', 'refused', 'refused', 'missing', ''],
    ...['lines', 'refused', null, 'refused'],
    ...[null, true, null],
  ];
  assert.deepEqual(run(''), wanted);
  assert.deepEqual(run('openat2'), wanted);
});
