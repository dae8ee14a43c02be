import assert from 'node:assert/strict';
import { test } from 'node:test';
import { glob } from '../../../src/config/glob.js';
import { readWithImports } from '../../../src/config/imports.js';
import { loadConfig } from '../../../src/config/load.js';
import { folderOf, refusal } from './files.js';

const RUNTIME = 'plugins."io.containerd.cri.v1.runtime"';

test('imports are read breadth first, each file once', async (t) => {
  const folder = await folderOf(t, {
    'main.toml': 'imports = ["*.toml", "sub/*/x?.toml", "./last"]',
    'b.toml': 'imports = ["deep/d.toml", "../{}/nothing-*"]',
    'a.toml': 'imports = ["main.toml"]',
    '.hidden.toml': '',
    'sub/2/x1.toml': '',
    'sub/1/x10.toml': '',
    'sub/1/x2.toml': '',
    'deep/d.toml': `imports = ["../b.toml"]`,
    last: '',
  });
  const read = await readWithImports(`${folder}/main.toml`);
  assert.deepEqual(read && [read.files.map(({ file }) => file.replace(`${folder}/`, '')), read.problems], [
    ['main.toml', '.hidden.toml', 'a.toml', 'b.toml', 'sub/1/x2.toml', 'sub/2/x1.toml', 'last', 'deep/d.toml'],
    [],
  ]);
});

test('a later file overrides an earlier one, key by key, false and 0 included', async (t) => {
  const folder = await folderOf(t, {
    'main.toml': `version = 3
imports = ["drop/*.toml"]
root = "/one"
[${RUNTIME}]
enable_selinux = true
max_container_log_line_size = 5
cdi_spec_dirs = ["/a", "/b"]
[${RUNTIME}.containerd.runtimes.runc]
pod_annotations = ["a"]
options = { BinaryName = "x" }`,
    'drop/10.toml': `version = 3
root = ""
[${RUNTIME}]
enable_selinux = false
max_container_log_line_size = 0
cdi_spec_dirs = ["/c"]
[${RUNTIME}.containerd.runtimes.runc]
options = { SystemdCgroup = true }`,
    'drop/20.toml': 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nsandbox_image = "x"',
  });
  const { config, origins } = await loadConfig({ containerdConfig: `${folder}/main.toml`, config: '' });
  const { runtime } = config;
  const runc = runtime.containerd.runtimes['runc'];
  assert.deepEqual(
    [config.root, runtime.enable_selinux, runtime.max_container_log_line_size, runtime.cdi_spec_dirs, runc?.options],
    ['/one', false, 0, ['/c'], { BinaryName: 'x', SystemdCgroup: true }],
  );
  const keys = [
    'root',
    'state',
    'runtime.enable_selinux',
    'runtime.containerd.runtimes.runc.pod_annotations',
    'runtime.containerd.runtimes.runc.options.SystemdCgroup',
    'images.pinned_images.sandbox',
  ];
  assert.deepEqual(
    keys.map((key) => origins.get(key)?.replace(`${folder}/`, '')),
    ['main.toml', 'default', 'drop/10.toml', 'main.toml', 'drop/10.toml', 'drop/20.toml'],
  );
});

test('bad imports are reported with the file that has them', async (t) => {
  const folder = await folderOf(t, {
    'main.toml': 'version = 2\nimports = ["gone.toml", "[*.toml", "new.toml", "list.toml", "wrong.toml"]',
    'new.toml': 'version = 3',
    'list.toml': 'version = 2\nimports = "x"',
    'wrong.toml': 'version = 2\nroot = 5',
  });
  assert.deepEqual(await refusal(folder, loadConfig({ containerdConfig: `${folder}/main.toml`, config: '' })), {
    code: 'INVALID_ARGUMENT',
    lines: [
      'main.toml: imports: malformed pattern "[*.toml"',
      'main.toml: imports: gone.toml does not exist',
      'list.toml: imports: expected a list of paths',
      'new.toml: version: 3 is higher than the 2 of main.toml, which imports it',
      'wrong.toml: root: expected text in quotes, received 5',
    ],
  });
});

test('patterns match as in Go', async (t) => {
  const folder = await folderOf(t, {
    'a1.toml': '',
    'a2.toml': '',
    'b^.toml': '',
    'a+.toml': '',
    'a*.toml': '',
    'é.toml': '',
  });
  const of = async (pattern: string) =>
    (await glob(`${folder}/${pattern}`))?.map((file) => file.slice(folder.length + 1));
  assert.deepEqual(await Promise.all(['a[0-1].*', 'a[^0-9].toml', 'a\\**', '?.toml', 'b^*', 'none*', '[*'].map(of)), [
    ['a1.toml'],
    ['a*.toml', 'a+.toml'],
    ['a*.toml'],
    ['é.toml'],
    ['b^.toml'],
    [],
    undefined,
  ]);
});
