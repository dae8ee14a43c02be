import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, before, test } from 'node:test';
import { parse, stringify } from 'yaml';
import { run } from '../../tools/stack/exec.js';
import { ensureGoTool } from '../../tools/stack/gotools.js';
import { stackLayout } from '../../tools/stack/layout.js';
import { projectRoot } from '../../tools/stack/project.js';

/** The files of packaging/clusters, read by the programs that they are for. */
const pathOf = (name: string): string => join(projectRoot, 'packaging/clusters', name);
const LIMIT_MS = 60_000;

describe('kubeadm', () => {
  let kubeadm = '';
  before(async () => void (kubeadm = await ensureGoTool(stackLayout(), 'kubeadm')));

  for (const name of ['kubeadm-init.yaml', 'kubeadm-join.yaml']) {
    test(`accepts ${name}`, async () => {
      await run(kubeadm, ['config', 'validate', '--config', pathOf(name)], { timeoutMs: LIMIT_MS });
    });
  }
});

describe('promtool', () => {
  let program = '';
  before(async () => void (program = await ensureGoTool(stackLayout(), 'promtool')));
  const promtool = (...args: string[]): Promise<string> => run(program, args, { timeoutMs: LIMIT_MS });

  test('accepts the scrape configuration and the alert rules', async (t) => {
    const folder = await folderOf(t);
    const scrape = parse(await readFile(pathOf('prometheus-scrape.yaml'), 'utf8')) as object;
    const file = join(folder, 'prometheus.yml');
    await writeFile(file, stringify({ ...scrape, rule_files: [pathOf('prometheus-rules.yaml')] }));
    await promtool('check', 'config', '--lint=all', '--lint-fatal', file);
    await writeFile(file, (await readFile(file, 'utf8')).replace('role: node', 'role: nodes'));
    await assert.rejects(promtool('check', 'config', file), /nodes/);
  });

  test('an operation is stuck by its age, and neither because a scrape saw it nor because the node is busy', async (t) => {
    const labels = (operation: string): string => `operation="${operation}", instance="node", job="crid"`;
    const stuck = {
      exp_labels: { operation: 'start container', instance: 'node', job: 'crid', severity: 'warning' },
      exp_annotations: { summary: '"start container" took 4m 0s on node: crid why.' },
    };
    const alertsAt = (eval_time: string, exp_alerts: readonly object[]): object => ({
      ...{ eval_time, alertname: 'CridOperationStuck', exp_alerts },
    });
    const input_series = Object.entries(AGES).flatMap(([operation, values]) => [
      { series: `crid_operation_oldest_seconds{${labels(operation)}}`, values },
      { series: `crid_operations_running{${labels(operation)}}`, values: values.replaceAll(/(?<!x)\b\d+/g, '1') },
    ]);
    const alert_rule_test = [alertsAt('3m', []), alertsAt('4m', [stuck]), alertsAt('8m', [stuck]), alertsAt('15m', [])];
    const rule_files = [pathOf('prometheus-rules.yaml')];
    const tests = [{ interval: '1m', input_series, alert_rule_test }];
    const file = join(await folderOf(t), 'test.yaml');
    await writeFile(file, JSON.stringify({ rule_files, evaluation_interval: '1m', tests }));
    await promtool('test', 'rules', file);
  });
});

/** The age of the oldest operation at each minute, `_` where none runs. */
const AGES = {
  'create container': '_ _ 3 _ _ _ _ _ _ _ _ _ _ _ _ _',
  'run pod sandbox': '2 9 1 4 30 7 2 2 8 5 1 9 3 4 6 2',
  'pull image': '0+60x15',
  'start container': '0 60 120 180 240 _ 30 _ _ _ _ _ _ _ _ _',
};

describe('kind', () => {
  let kind = '';
  before(async () => void (kind = await ensureGoTool(stackLayout(), 'kind')));
  /** kind reads its file first. Then it fails, because this PATH has no docker. */
  const create = (config: string): Promise<string> =>
    run(kind, ['create', 'cluster', '--config', config], {
      timeoutMs: LIMIT_MS,
      env: { ...process.env, PATH: '/nonexistent' },
    });

  test('reads kind.yaml without an error', async (t) => {
    await assert.rejects(create(pathOf('kind.yaml')), /docker/);
    const wrong = join(await folderOf(t), 'kind.yaml');
    await writeFile(wrong, `${await readFile(pathOf('kind.yaml'), 'utf8')}unknown: 1\n`);
    await assert.rejects(create(wrong), /unknown/);
  });
});

async function folderOf(t: { after(work: () => Promise<void>): void }): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'crid-clusters-'));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}
