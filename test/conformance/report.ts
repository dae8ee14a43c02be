import { whyLeftOut, type Selection } from './selection.js';

/** The results of a run of the suite, by spec. */
export interface Report {
  readonly passed: readonly Spec[];
  readonly failed: readonly Spec[];
  /** Specs that skipped themselves because the host or the server lacks what they test. */
  readonly skipped: readonly Spec[];
  /** Specs that were not selected. */
  readonly leftOut: readonly Spec[];
}

export interface Spec {
  readonly name: string;
  /** The beginning of the reason why it failed, was skipped or left out, in one line; "" if it passed. */
  readonly reason: string;
  readonly durationMs: number;
}

const SHOWN_CHARS = 250;

/** The fields of ginkgo's JSON report that are read (github.com/onsi/ginkgo/v2/types, Report and SpecReport). */
interface GinkgoSuite {
  readonly SuiteDescription?: string;
  readonly SpecReports?: readonly GinkgoSpec[] | null;
}
interface GinkgoSpec {
  readonly ContainerHierarchyTexts?: readonly string[] | null;
  readonly LeafNodeType: string;
  readonly LeafNodeText: string;
  readonly State: string;
  /** Nanoseconds. */
  readonly RunTime: number;
  readonly Failure?: { readonly Message?: string };
}

const EVERYTHING: Selection = { focus: [], skip: [] };
const NOT_RUN = 'it was to run, and the suite ended before';

/**
 * Reads ginkgo's JSON report. A spec that neither passed nor was skipped or left out has failed; so has a failed node
 * of the suite.
 */
export function readReport(json: string, selection = EVERYTHING): Report {
  const report = { passed: [] as Spec[], failed: [] as Spec[], skipped: [] as Spec[], leftOut: [] as Spec[] };
  for (const { SuiteDescription = '', SpecReports } of JSON.parse(json) as GinkgoSuite[]) {
    for (const each of SpecReports ?? []) {
      const name = nameOf(each);
      const [list, reason = ''] = outcome(each, () => whyLeftOut(`${SuiteDescription} ${name}`, selection));
      // Nodes around the specs (BeforeSuite, …) count only when they fail.
      if (each.LeafNodeType === 'It' || list === 'failed') {
        report[list].push({ name, reason, durationMs: Math.round(each.RunTime / 1e6) });
      }
    }
  }
  return report;
}

function outcome({ State, LeafNodeType, Failure }: GinkgoSpec, why: () => string | undefined): [keyof Report, string?] {
  const message = (Failure?.Message ?? '').replaceAll(/\s+/g, ' ').trim().slice(0, SHOWN_CHARS);
  switch (State) {
    case 'passed':
      return ['passed'];
    case 'pending':
      return ['leftOut', 'the suite itself has it as pending'];
    case 'skipped': {
      if (message || LeafNodeType !== 'It') return ['skipped', message];
      // After an abort or a timeout, ginkgo reports the remaining specs like those that were not selected.
      const reason = why();
      return reason === undefined ? ['failed', NOT_RUN] : ['leftOut', reason];
    }
    default:
      return ['failed', message];
  }
}

const nameOf = ({ ContainerHierarchyTexts, LeafNodeText, LeafNodeType }: GinkgoSpec): string =>
  [...(ContainerHierarchyTexts ?? []), LeafNodeText || LeafNodeType].join(' ');

/** Formats the report as text: the specs that did not pass, with reasons, and then the counts. */
export function describeReport({ passed, failed, skipped, leftOut }: Report): string {
  const section = (title: string, specs: readonly Spec[]): string[] =>
    specs.length === 0
      ? []
      : [`${title}:`, ...specs.map(({ name, reason }) => `  ${name}${reason && `: ${reason}`}`), ''];
  return [
    ...section('left out', leftOut),
    ...section('skipped', skipped),
    ...section('failed', failed),
    `${passed.length} passed, ${failed.length} failed, ${skipped.length} skipped, ${leftOut.length} left out`,
  ].join('\n');
}
