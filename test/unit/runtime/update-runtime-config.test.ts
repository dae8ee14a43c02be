import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { UpdateRuntimeConfigRequest } from '../../../generated/runtime/v1/api.js';
import { createLogger } from '../../../src/base/log.js';
import { defaultConfig } from '../../../src/config/schema.js';
import { updateRuntimeConfig } from '../../../src/runtime/update-runtime-config.js';

const TEMPLATE =
  '{"plugins": [{"ipam": {"subnet": "{{.PodCIDR}}", ' +
  '"ranges": [{{range $i, $range := .PodCIDRRanges}}{{if $i}}, {{end}}[{"subnet": "{{$range}}"}]{{end}}]}}]}';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crid-cni-'));
  await writeFile(join(folder, 'template'), TEMPLATE);
});
afterEach(() => rm(folder, { recursive: true }));

async function update(cidr: string, { ready = false, template = join(folder, 'template') } = {}): Promise<string[]> {
  const config = defaultConfig();
  config.runtime.cni.conf_template = template;
  config.runtime.cni.conf_dir = join(folder, 'net.d');
  const network = { status: () => Promise.resolve({ ready, message: '', config: undefined, lastLoadError: '' }) };
  await updateRuntimeConfig({ config, network: () => network, log: createLogger('error') })(
    UpdateRuntimeConfigRequest.fromPartial({ runtime_config: { network_config: { pod_cidr: cidr } } }),
  );
  return readdir(join(folder, 'net.d')).catch(() => []);
}

test('the network’s configuration is made from the template with the CIDRs of the node, of both families', async () => {
  assert.deepEqual(await update('10.1.0.0/24, fd00::/64'), ['10-containerd-net.conflist']);
  assert.deepEqual(JSON.parse(await readFile(join(folder, 'net.d/10-containerd-net.conflist'), 'utf8')), {
    plugins: [{ ipam: { subnet: '10.1.0.0/24', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: 'fd00::/64' }]] } }],
  });
});

test('nothing is written without a CIDR, without a template, or if a network exists', async () => {
  assert.deepEqual(
    [await update(''), await update('10.1.0.0/24', { template: '' }), await update('10.1.0.0/24', { ready: true })],
    [[], [], []],
  );
});

test('an invalid CIDR is refused with its field, and a template that does not produce JSON with its path', async () => {
  for (const cidr of ['10.1.0.0', '10.1.0.0/33', 'fd00::/129', '10.1.0.0/24,x']) {
    await assert.rejects(update(cidr), {
      code: 'INVALID_ARGUMENT',
      message: /runtime_config\.network_config\.pod_cidr/,
    });
  }
  await writeFile(join(folder, 'template'), '{{.PodCIDR}}');
  await assert.rejects(update('10.1.0.0/24'), {
    code: 'FAILED_PRECONDITION',
    message: /cni template .*does not produce JSON/,
  });
  assert.deepEqual(await readdir(folder), ['template']);
});
