import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import { defaultConfig } from '../../../src/config/schema.js';
import { globExpression } from '../../../src/base/glob-expression.js';
import { VERSION } from '../../../src/version.js';
import { debianFile } from '../../../tools/dist/debian.js';
import { ARCHITECTURES, type Architecture } from '../../../tools/stack/architectures.js';
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

test('Fluent Bit reads the file that has the parser of its filter', () => {
  const value = (file: string, key: string) => new RegExp(`^ +${key} +(\\S+)$`, 'm').exec(read(file))?.[1] ?? '';
  const parsers = value('fluent-bit.conf', 'Parsers_File');
  assert.equal(parsers, 'fluent-bit-parsers.conf');
  assert.equal(value('fluent-bit.conf', 'Parser'), value(parsers, 'Name'));
});

test('kind.Dockerfile copies the package of its own architecture from the packages of `make dist`', () => {
  const [, pattern = ''] = /^COPY (\S+) /m.exec(read('kind.Dockerfile')) ?? [];
  const architectures = Object.keys(ARCHITECTURES) as Architecture[];
  const copied = architectures.map((target) => {
    const matches = globExpression(pattern.replace('${TARGETARCH}', target));
    return architectures.map((each) => debianFile(VERSION, each)).filter((name) => matches?.test(name));
  });
  assert.deepEqual(
    copied,
    architectures.map((each) => [debianFile(VERSION, each)]),
  );
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
