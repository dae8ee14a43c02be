import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { stackLayout } from '../../../tools/stack/layout.js';
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
    architecture: 'amd64',
    packaged: false,
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
  assert.equal(ci.conformance.least, 51);
  for (const args of [[], ['conformance', '--server', 'other'], ['conformance', 'word'], ['other']]) {
    assert.throws(() => parseOptions(args), /usage/);
  }
});

test(
  'the image has a name of its own for each recipe, and CRID_VM_DIR overrides it',
  { skip: process.arch !== 'x64' },
  () => {
    const images = (['amd64', 'arm64'] as const).map((name) => vmLayout(name, { XDG_CACHE_HOME: '/c' }).image);
    for (const image of images) assert.match(image, /^\/c\/crid\/vm-[0-9a-f]{12}\/root\.img$/);
    assert.notEqual(images[0], images[1]);
    assert.equal(vmLayout('amd64', { CRID_VM_DIR: '/d' }).kernel, '/d/vmlinuz');
  },
);

test('on arm64, the package is tested; without words, a part of the tests and critest', () => {
  const { architecture, packaged, tests, conformance } = parseOptions(['test', '--arch', 'arm64']);
  assert.deepEqual([architecture, packaged, tests?.kinds], ['arm64', true, ['unit', 'integration']]);
  assert.ok(conformance && conformance.focus.length > 0);
  const one = parseOptions(['test', '--arch', 'arm64', 'exec.test']);
  assert.deepEqual([one.tests?.words, one.conformance], [['exec.test'], undefined]);
  assert.throws(() => parseOptions(['test', '--arch', 'x64']), /--arch x64: expected one of amd64, arm64/);
});

test(
  'the programs and the images of another architecture are in folders of their own',
  { skip: process.arch !== 'x64' },
  () => {
    const env = { XDG_CACHE_HOME: '/c', CRID_STACK_DIR: '/stack' };
    assert.equal(stackLayout(env).goTools, '/stack/go');
    const { dir, goTools } = stackLayout(env, 'arm64');
    assert.match(dir, /^\/c\/crid\/stack-[0-9a-f]{12}$/);
    assert.equal(goTools, '/c/crid/go-arm64');
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
