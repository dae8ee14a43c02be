import type { RegisteredMetric } from './registered.js';

/** Labels that Prometheus itself adds, or packaging/clusters/prometheus-scrape.yaml. */
const TARGET_LABELS = ['instance', 'job', 'node'];
const HISTOGRAM_PARTS = ['_bucket', '_sum', '_count'];
const OPERATORS = ['or', 'and', 'unless'];

/** Returns the series of each metric by name, with their labels. */
export function seriesOf(metrics: readonly RegisteredMetric[]): Map<string, readonly string[]> {
  const series = new Map<string, readonly string[]>([['up', TARGET_LABELS]]);
  for (const { name, type, labels } of metrics) {
    const all = [...labels, ...TARGET_LABELS];
    if (type !== 'histogram') series.set(name, all);
    else for (const part of HISTOGRAM_PARTS) series.set(name + part, part === '_bucket' ? [...all, 'le'] : all);
  }
  return series;
}

/**
 * Returns the series and the labels of a PromQL expression that do not exist. It knows as much of the language as the
 * files of packaging/clusters use: selectors, functions, `by`, and operators.
 */
export function unknownIn(expression: string, series: ReadonlyMap<string, readonly string[]>): string[] {
  const text = expression.replaceAll(/"(?:\\.|[^"\\])*"/g, '""').replaceAll(/\[[^\]]*\]/g, '');
  const grouped = [...text.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list = '']) => words(list));
  const rest = text.replaceAll(/\bby \([^)]*\)/g, '');
  const used = [...rest.matchAll(/\b([a-z_]\w*)\s*(\{[^}]*\}|\()?/gi)]
    .filter(([, name = '', next]) => next !== '(' && !OPERATORS.includes(name))
    .map(([, name = '', matchers = '']) => ({
      name,
      labels: [...matchers.matchAll(/(\w+)\s*[=!]/g)].map(([, label = '']) => label),
    }));
  const known = used.flatMap(({ name }) => series.get(name) ?? []);
  return [
    ...used.flatMap(({ name, labels }) => {
      const own = series.get(name);
      return own ? labels.filter((label) => !own.includes(label)).map((label) => `${name}{${label}}`) : [name];
    }),
    ...grouped.filter((label) => !known.includes(label)).map((label) => `by ${label}`),
  ];
}

/** Returns the labels of the results of an expression: those of `by`, or else of its series. */
export function labelsOf(expression: string, series: ReadonlyMap<string, readonly string[]>): string[] {
  const grouped = /\bby \(([^)]*)\)/.exec(expression)?.[1];
  if (grouped !== undefined) return words(grouped);
  return [...expression.matchAll(/\b[a-z_]\w*/g)].flatMap(([name]) => series.get(name) ?? []);
}

const words = (list: string): string[] => list.split(',').map((word) => word.trim());
