import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../../../tools/stack/project.js';
import { folderFor } from '../host/helpers.js';

test('compiled code is cached in the first of the folders that systemd names', (t) => {
  const folder = folderFor(t);
  for (const each of ['bin', 'build/bundle']) mkdirSync(join(folder, each), { recursive: true });
  const [program, node] = [join(folder, 'bin', 'crid'), join(folder, 'bin', 'node')];
  copyFileSync(join(projectRoot, 'bin', 'crid'), program);
  writeFileSync(join(folder, 'build', 'bundle', 'main.js'), '');
  writeFileSync(node, '#!/bin/sh\necho "${NODE_COMPILE_CACHE-none}"\n');
  chmodSync(node, 0o755);
  const cacheWith = (env: Readonly<Record<string, string>>): string =>
    execFileSync(program, { env: { PATH: '/usr/bin:/bin', ...env }, encoding: 'utf8' }).trim();
  assert.deepEqual(
    [
      cacheWith({}),
      cacheWith({ CACHE_DIRECTORY: '/var/cache/crid' }),
      cacheWith({ CACHE_DIRECTORY: '/var/cache/crid:/var/cache/more' }),
      cacheWith({ CACHE_DIRECTORY: '/var/cache/crid', NODE_COMPILE_CACHE: '/own' }),
    ],
    ['none', '/var/cache/crid', '/var/cache/crid', '/own'],
  );
});
