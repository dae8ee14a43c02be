/** What a run of the suite came to, spec by spec. */
export interface Report {
  readonly passed: readonly Spec[];
  readonly failed: readonly Spec[];
  /** Specs that found that this host, or the server, lacks what they test. */
  readonly skipped: readonly Spec[];
  /** Specs that were not asked for. */
  readonly leftOut: readonly Spec[];
}

export interface Spec {
  readonly name: string;
  /** The beginning of why it failed or was skipped, in one line; "" if it passed. */
  readonly reason: string;
  readonly durationMs: number;
}

const SHOWN_CHARS = 250;

/** What is read of ginkgo's JSON report (github.com/onsi/ginkgo/v2/types, Report and SpecReport). */
interface GinkgoSuite {
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

/** Reads ginkgo's JSON report. Whatever is neither passed, skipped nor left out has failed, the suite's own nodes too. */
export function readReport(json: string): Report {
  const report = { passed: [] as Spec[], failed: [] as Spec[], skipped: [] as Spec[], leftOut: [] as Spec[] };
  for (const each of (JSON.parse(json) as GinkgoSuite[]).flatMap((suite) => suite.SpecReports ?? [])) {
    const list = report[listOf(each)];
    // Nodes around the specs (BeforeSuite, …) count only when they fail.
    if (each.LeafNodeType === 'It' || list === report.failed) list.push(spec(each));
  }
  return report;
}

function listOf({ State, Failure }: GinkgoSpec): keyof Report {
  switch (State) {
    case 'passed':
      return 'passed';
    case 'pending':
      return 'leftOut';
    case 'skipped':
      return Failure?.Message ? 'skipped' : 'leftOut';
    default:
      return 'failed';
  }
}

const spec = ({ ContainerHierarchyTexts, LeafNodeText, LeafNodeType, RunTime, Failure }: GinkgoSpec): Spec => ({
  name: [...(ContainerHierarchyTexts ?? []), LeafNodeText || LeafNodeType].join(' '),
  reason: (Failure?.Message ?? '').replaceAll(/\s+/g, ' ').trim().slice(0, SHOWN_CHARS),
  durationMs: Math.round(RunTime / 1e6),
});

/** The report as text: what did not pass, by name and with its reason; the counts last. */
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
