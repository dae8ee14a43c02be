import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { vmLayout } from '../../../tools/vm/layout.js';
import { containerdConfig, containerdDropIn, guestFiles } from '../../../tools/vm/recipe.js';
import { quote } from '../../../tools/vm/ssh.js';
import { parseOptions } from '../../vm/options.js';

test('quote: one word of a shell, whatever it contains', () => {
  const odd = `it's "odd": $HOME \`id\` \\ \n*`;
  assert.equal(execFileSync('sh', ['-c', `printf %s ${quote(odd)}`], { encoding: 'utf8' }), odd);
});

test('the options of the runner', () => {
  assert.deepEqual(parseOptions(['test', 'spec/kernel', '--runtime', 'crun']), {
    tests: { kinds: ['vm', 'integration'], words: ['spec/kernel'], runtime: 'crun' },
  });
  assert.deepEqual(parseOptions(['conformance', '--server', 'reference', '--focus', 'OOM']).conformance, {
    servers: ['reference'],
    handlers: ['runc', 'crun'],
    focus: ['OOM'],
    skip: [],
  });
  assert.deepEqual(parseOptions(['conformance']).conformance?.servers, ['crid', 'reference']);
  const ci = parseOptions(['--ci']);
  assert.ok(ci.tests && ci.conformance && ci.conformance.focus.length > 0);
  assert.equal(ci.conformance.least, 49);
  for (const args of [[], ['conformance', '--server', 'other'], ['conformance', 'word'], ['other']]) {
    assert.throws(() => parseOptions(args), /usage/);
  }
});

test(
  'the image has a name of its own for each recipe, and CRID_VM_DIR overrides it',
  { skip: process.arch !== 'x64' },
  () => {
    assert.match(vmLayout({ XDG_CACHE_HOME: '/c' }).image, /^\/c\/crid\/vm-[0-9a-f]{12}\/root\.img$/);
    assert.equal(vmLayout({ CRID_VM_DIR: '/d' }).kernel, '/d/vmlinuz');
  },
);

test('the files of the guest: paths below the root; containerd with and without its CRI plugin', () => {
  const paths = Object.keys(guestFiles('ssh-ed25519 KEY'));
  assert.deepEqual(
    paths.filter((path) => path.startsWith('/') || path.includes('..')),
    [],
  );
  assert.match(containerdConfig(), /^disabled_plugins = \["io\.containerd\.grpc\.v1\.cri",/m);
  assert.doesNotMatch(containerdConfig({ cri: true }), /grpc\.v1\.cri/);
});

test('the drop-in replaces the containerd of the package, and its shim', () => {
  assert.deepEqual(containerdDropIn('/go/v2.3.7').split('\n').slice(1, 4), [
    'Environment=PATH=/go/v2.3.7:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    'ExecStart=',
    'ExecStart=/go/v2.3.7/containerd',
  ]);
});
