import { join } from 'node:path';
import { before, test } from 'node:test';
import { run } from '../../tools/stack/exec.js';
import { ensureGoTool } from '../../tools/stack/gotools.js';
import { stackLayout } from '../../tools/stack/layout.js';
import { projectRoot } from '../../tools/stack/project.js';

let kubeadm = '';
before(async () => void (kubeadm = await ensureGoTool(stackLayout(), 'kubeadm')));

for (const name of ['kubeadm-init.yaml', 'kubeadm-join.yaml']) {
  test(`kubeadm accepts ${name}`, async () => {
    const file = join(projectRoot, 'packaging/clusters', name);
    await run(kubeadm, ['config', 'validate', '--config', file], { timeoutMs: 60_000 });
  });
}
