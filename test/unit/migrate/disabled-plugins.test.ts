import assert from 'node:assert/strict';
import { test } from 'node:test';
import { disableCri, enableCri } from '../../../src/migrate/disabled-plugins.js';

const CRI = 'io.containerd.grpc.v1.cri';

/** The text before, with the plugin disabled, and with it enabled again where that is not the text before. */
const CASES: Readonly<Record<string, readonly [before: string, disabled: string, enabled?: string]>> = {
  'no list, version 3': [
    '# ours\nversion = 3 # newest\n\nroot = "/data"\n\n[plugins]\n',
    `# ours\nversion = 3 # newest\ndisabled_plugins = ["${CRI}"]\n\nroot = "/data"\n\n[plugins]\n`,
    '# ours\nversion = 3 # newest\ndisabled_plugins = []\n\nroot = "/data"\n\n[plugins]\n',
  ],
  'no list and no version': [
    '# a table\n[debug]\nlevel = "info"\n',
    `disabled_plugins = ["${CRI}"]\n# a table\n[debug]\nlevel = "info"\n`,
    'disabled_plugins = []\n# a table\n[debug]\nlevel = "info"\n',
  ],
  'no line end at the end': [
    'version = 2',
    `version = 2\ndisabled_plugins = ["${CRI}"]`,
    'version = 2\ndisabled_plugins = []',
  ],
  'an empty list': ['disabled_plugins = [] # none\n', `disabled_plugins = ["${CRI}"] # none\n`],
  'a list on one line': ['disabled_plugins = ["a", "b"]\n', `disabled_plugins = ["a", "b", "${CRI}"]\n`],
  'a comma at the end': [
    "disabled_plugins = ['a',]\n",
    `disabled_plugins = ['a', "${CRI}",]\n`,
    "disabled_plugins = ['a',]\n",
  ],
  'a list with comments on several lines': [
    'version = 3\n"disabled_plugins" = [ # why\n  "a", # A ]\n\n  # of b\n  "b" # B\n]\n[x]\n',
    `version = 3\n"disabled_plugins" = [ # why\n  "a", # A ]\n\n  # of b\n  "b", # B\n  "${CRI}",\n]\n[x]\n`,
    'version = 3\n"disabled_plugins" = [ # why\n  "a", # A ]\n\n  # of b\n  "b", # B\n]\n[x]\n',
  ],
  'the list after strings with brackets': [
    'version = 3\nroot = """\n[no table]\n\\""" """\nimports = ["[x]"]\ndisabled_plugins = ["a"]\n',
    `version = 3\nroot = """\n[no table]\n\\""" """\nimports = ["[x]"]\ndisabled_plugins = ["a", "${CRI}"]\n`,
  ],
  'line ends of Windows': [
    'version = 2\r\n[x]\r\n',
    `version = 2\r\ndisabled_plugins = ["${CRI}"]\r\n[x]\r\n`,
    'version = 2\r\ndisabled_plugins = []\r\n[x]\r\n',
  ],
  'a key of the same name in a table': [
    'version = 2\n[x]\ndisabled_plugins = 1\n',
    `version = 2\ndisabled_plugins = ["${CRI}"]\n[x]\ndisabled_plugins = 1\n`,
    'version = 2\ndisabled_plugins = []\n[x]\ndisabled_plugins = 1\n',
  ],
};

for (const [what, [before, disabled, enabled = before]] of Object.entries(CASES)) {
  test(`disabled_plugins is edited and edited back: ${what}`, () => {
    assert.deepEqual([disableCri(before), disableCri(disabled), enableCri(disabled)], [disabled, disabled, enabled]);
  });
}

test('a missing file becomes one that only disables the plugin', () => {
  assert.equal(disableCri(undefined), `version = 3\ndisabled_plugins = ["${CRI}"]\n`);
});

test('every name of the plugin is removed, and other names stay', () => {
  assert.deepEqual(
    ['["cri"]', '["cri", "a"]', '["a", "cri"]', `["${CRI}", "a", "io.containerd.cri.v1.images", "b"]`].map((list) =>
      enableCri(`disabled_plugins = ${list}\n`),
    ),
    ['[]', '["a"]', '["a"]', '["a", "b"]'].map((list) => `disabled_plugins = ${list}\n`),
  );
});

test('a list that is no array of names is refused', () => {
  assert.throws(() => disableCri('disabled_plugins = "cri"\n'), /cannot be edited safely/);
});
