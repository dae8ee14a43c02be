import assert from 'node:assert/strict';
import { mkdir, mkdtemp, realpath, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Mount } from '../../../generated/nri/v1alpha1/api.js';
import { relabelSources } from '../../../src/containers/relabel-sources.js';

const NEVER = new AbortController().signal;
const LABEL = 'system_u:object_r:container_file_t:s0:c1,c2';

test('the sources of new mounts with "relabel" get the label of the container, links followed', async (t) => {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'crid-relabel-')));
  t.after(() => rm(folder, { recursive: true }));
  await mkdir(join(folder, 'real'));
  await symlink('real', join(folder, 'link'));
  const mount = (source: string, destination: string, ...options: string[]): Mount =>
    Mount.fromPartial({ source: join(folder, source), destination, type: 'bind', options });
  const mounts = [
    mount('real', '/plain', 'rbind'),
    mount('link', '/labelled', 'rbind', 'relabel'),
    mount('missing', '-/x', 'relabel'),
  ];
  const relabelled = async (label: string, of = mounts): Promise<string[]> => {
    const calls: string[] = [];
    await relabelSources(of, label, NEVER, async (path, given, field) => void calls.push(`${path} ${given} ${field}`));
    return calls;
  };
  assert.deepEqual(
    [await relabelled(LABEL), await relabelled('')],
    [[`${folder}/real ${LABEL} adjust.mounts[1].source`], []],
  );
  await assert.rejects(relabelled(LABEL, [mount('missing', '/y', 'relabel')]), /missing/);
});
