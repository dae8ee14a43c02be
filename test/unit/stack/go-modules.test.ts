import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileArgs, goModule } from '../../../tools/stack/go-modules.js';
import { stackLayout } from '../../../tools/stack/layout.js';

test('the environment chooses the version of each program, with or without a v', () => {
  const version = (env: NodeJS.ProcessEnv): string[] =>
    (['containerd', 'kubelet', 'critest', 'crictl'] as const).map((tool) => goModule(tool, env).version);
  assert.deepEqual(version({ CRID_CONTAINERD: '2.4.2', CRID_KUBELET: 'v1.34.4', CRID_CRI_TOOLS: '1.38.0-beta.0' }), [
    'v2.4.2',
    'v1.34.4',
    'v1.38.0-beta.0',
    'v1.38.0-beta.0',
  ]);
  assert.deepEqual(version({ CRID_CONTAINERD: '' }), version({}));
});

test('a version that is none is refused by the name of its variable', () => {
  assert.throws(
    () => goModule('containerd', { CRID_CONTAINERD: '2.4' }),
    /^Error: CRID_CONTAINERD=2\.4 is not a version/,
  );
  assert.throws(() => goModule('kubelet', { CRID_KUBELET: '../x' }), /^Error: CRID_KUBELET=\.\.\/x is not a version/);
});

test('a stack runs the containerd of the version that was chosen, or that of the packages', () => {
  const folder = (CRID_CONTAINERD: string): string =>
    stackLayout({ CRID_STACK_DIR: '/stack', CRID_CONTAINERD }).containerdBin;
  assert.equal(folder('2.4.2'), '/stack/go/v2.4.2');
  assert.equal(folder('debian'), '/stack/packages/bin');
});

test('a containerd and a kubelet report their version', () => {
  const flags = (tool: 'containerd' | 'kubelet', env: NodeJS.ProcessEnv): string =>
    compileArgs(tool, goModule(tool, env)).join(' ');
  assert.match(
    flags('containerd', { CRID_CONTAINERD: '2.4.2' }),
    / -X github\.com\/containerd\/containerd\/v2\/version\.Version=v2\.4\.2\b/,
  );
  assert.match(flags('kubelet', { CRID_KUBELET: '1.34.4' }), /\.gitVersion=v1\.34\.4 .*\.gitMajor=1 .*\.gitMinor=34\b/);
});
