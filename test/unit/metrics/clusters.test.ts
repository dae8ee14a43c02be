import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import { defaultConfig } from '../../../src/config/schema.js';
import { projectRoot } from '../../../tools/stack/project.js';
import { labelsOf, seriesOf, unknownIn } from './prom-query.js';
import { registeredMetrics } from './registered.js';

const pathOf = (name: string): string => join(projectRoot, 'packaging/clusters', name);
const read = (name: string): string => readFileSync(pathOf(name), 'utf8');
const series = seriesOf(await registeredMetrics());

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly summary: string };
}

interface Panel {
  readonly title: string;
  readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[];
}

const { groups } = parse(read('prometheus-rules.yaml')) as { groups: { rules: Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);
const { panels, templating } = JSON.parse(read('grafana-dashboard.json')) as {
  panels: Panel[];
  templating: { list: { name: string; query: string | { query: string } }[] };
};

/** `{{ $labels.instance }}` of an alert, `{{instance}}` of a legend. */
const shown = (text: string): string[] =>
  [...text.matchAll(/\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}/g)].map(([, label = '']) => label);

test('every metric and label of the alert rules exists, and so do the labels of their texts', () => {
  const wrong = rules.flatMap(({ alert, expr, annotations }) => [
    ...unknownIn(expr, series).map((name) => `${alert}: ${name}`),
    ...shown(annotations.summary)
      .filter((label) => !labelsOf(expr, series).includes(label))
      .map((label) => `${alert}: text ${label}`),
  ]);
  assert.deepEqual(wrong, []);
  assert.ok(rules.length >= 10);
});

test('every metric and label of the dashboard exists, and so do the labels of its legends and variables', () => {
  const wrong = panels.flatMap(({ title, targets }) =>
    targets.flatMap(({ expr, legendFormat }) => [
      ...unknownIn(expr, series).map((name) => `${title}: ${name}`),
      ...shown(legendFormat)
        .filter((label) => !labelsOf(expr, series).includes(label))
        .map((label) => `${title}: legend ${label}`),
    ]),
  );
  assert.deepEqual(wrong, []);
  const { query } = templating.list.find(({ name }) => name === 'instance')?.query as { query: string };
  const [, metric = '', label = ''] = /^label_values\((\w+), (\w+)\)$/.exec(query) ?? [];
  assert.ok(series.get(metric)?.includes(label), query);
});

test('a wrong metric, matcher and group are found', () => {
  assert.deepEqual(
    [
      'sum by (instance, le) (rate(crid_rpc_duration_seconds_bucket{method="A, b=c", code!="OK"}[5m])) > 0.5 or up',
      'rate(crid_rpc_duration_seconds[5m])',
      'sum by (colour) (crid_pods{state="ready", shape=~"x"}) / crid_cats',
      'sum by (le) (rate(crid_rpc_duration_seconds_count[5m]))',
    ].map((expression) => unknownIn(expression, series)),
    [[], ['crid_rpc_duration_seconds'], ['crid_pods{shape}', 'crid_cats', 'by colour'], ['by le']],
  );
});

test('promtool accepts the alert rules', (t) => {
  const { error, status, stdout, stderr } = spawnSync('promtool', ['check', 'rules', pathOf('prometheus-rules.yaml')], {
    encoding: 'utf8',
  });
  if (error) return t.skip('no promtool: it is in the package prometheus of Debian');
  assert.equal(status, 0, stdout + stderr);
});

/** The age of the oldest operation at each minute, `_` where none runs. */
const AGES = {
  'create container': '_ _ 3 _ _ _ _ _ _ _ _ _ _ _ _ _',
  'run pod sandbox': '2 9 1 4 30 7 2 2 8 5 1 9 3 4 6 2',
  'pull image': '0+60x15',
  'start container': '0 60 120 180 240 _ 30 _ _ _ _ _ _ _ _ _',
};

test('an operation is stuck by its age, and neither because a scrape saw it nor because the node is busy', (t) => {
  const labels = (operation: string): string => `operation="${operation}", instance="node", job="crid"`;
  const stuck = {
    exp_labels: { operation: 'start container', instance: 'node', job: 'crid', severity: 'warning' },
    exp_annotations: { summary: '"start container" took 4m 0s on node: crid why.' },
  };
  const alertsAt = (eval_time: string, exp_alerts: readonly object[]): object => ({
    ...{ eval_time, alertname: 'CridOperationStuck', exp_alerts },
  });
  const folder = mkdtempSync(join(tmpdir(), 'crid-rules-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'test.yaml');
  const input_series = Object.entries(AGES).flatMap(([operation, values]) => [
    { series: `crid_operation_oldest_seconds{${labels(operation)}}`, values },
    { series: `crid_operations_running{${labels(operation)}}`, values: values.replaceAll(/(?<!x)\b\d+/g, '1') },
  ]);
  const alert_rule_test = [alertsAt('3m', []), alertsAt('4m', [stuck]), alertsAt('8m', [stuck]), alertsAt('15m', [])];
  const rule_files = [pathOf('prometheus-rules.yaml')];
  const tests = [{ interval: '1m', input_series, alert_rule_test }];
  writeFileSync(file, JSON.stringify({ rule_files, evaluation_interval: '1m', tests }));
  const { error, status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', file], { encoding: 'utf8' });
  if (error) return t.skip('no promtool: it is in the package prometheus of Debian');
  assert.equal(status, 0, stdout + stderr);
});

test('Fluent Bit reads the file that has the parser of its filter', () => {
  const value = (file: string, key: string) => new RegExp(`^ +${key} +(\\S+)$`, 'm').exec(read(file))?.[1] ?? '';
  const parsers = value('fluent-bit.conf', 'Parsers_File');
  assert.equal(parsers, 'fluent-bit-parsers.conf');
  assert.equal(value('fluent-bit.conf', 'Parser'), value(parsers, 'Name'));
});

test("the manifests of kubeadm, k3s and kind name crid's socket", () => {
  const socket = `unix://${defaultConfig().crid.listen}`;
  const socketsIn = (text: string): string[] =>
    parseAllDocuments(text).flatMap((document) => {
      const { nodeRegistration } = document.toJS() as { nodeRegistration?: { criSocket: string } };
      return nodeRegistration ? [nodeRegistration.criSocket] : [];
    });
  const { kubeadmConfigPatches } = parse(read('kind.yaml')) as { kubeadmConfigPatches: string[] };
  const k3s = parse(read('k3s-config.yaml')) as Record<string, string>;
  assert.deepEqual(
    {
      init: socketsIn(read('kubeadm-init.yaml')),
      join: socketsIn(read('kubeadm-join.yaml')),
      kind: kubeadmConfigPatches.flatMap(socketsIn),
      k3s: k3s['container-runtime-endpoint'],
    },
    { init: [socket], join: [socket], kind: [socket, socket], k3s: socket },
  );
});
