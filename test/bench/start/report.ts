import type { Environment } from '../environment.js';
import { table } from '../table.js';
import { median } from '../statistics.js';
import type { FirstAnswers } from './answers.js';

/** Starts of both servers on the same records. */
export interface Case {
  readonly name: string;
  readonly records: number;
  readonly crid: readonly FirstAnswers[];
  /** The time until crid has also undone and swept leftovers and recovered everything. */
  readonly settledMs: readonly number[];
  readonly plugin: readonly FirstAnswers[];
}

/** Starts after kills in the middle of creates. */
export interface Series {
  readonly answersMs: readonly number[];
}

/** The limit for a start: 1 s, and 1 ms for each record. */
const AIM_MS = 1_000;
const AIM_PER_RECORD_MS = 1;

export const startReport = (environment: Environment, cases: readonly Case[], series: readonly Series[]): string =>
  [
    `${environment.date}, Linux ${environment.kernel}, ${environment.cpus} CPUs, ${environment.memoryGiB} GiB, load ${environment.load.toFixed(1)} at the start, ` +
      `Node ${environment.node}, containerd ${environment.containerd}${environment.commit && `, commit ${environment.commit}`}. Seconds.`,
    table([
      [
        'what is there',
        'n',
        'aim',
        'Version',
        'ListContainers',
        'at most',
        'CPU',
        'all done',
        'containerd',
        'at most',
        'CPU',
      ],
      ...cases.map(({ name, records, crid, settledMs, plugin }) => [
        name,
        String(crid.length),
        seconds(AIM_MS + AIM_PER_RECORD_MS * records),
        seconds(median(crid.map(({ versionMs }) => versionMs))),
        seconds(median(crid.map(lists))),
        seconds(Math.max(...crid.map(lists))),
        seconds(median(crid.map(({ usedMs }) => usedMs))),
        seconds(median(settledMs)),
        seconds(median(plugin.map(lists))),
        seconds(Math.max(...plugin.map(lists))),
        seconds(median(plugin.map(({ usedMs }) => usedMs))),
      ]),
    ]),
    table([
      ['kills in the middle of creates', 'kills', 'median', 'at most'],
      ...series.map(({ answersMs }, index) => [
        `series ${index + 1}`,
        String(answersMs.length),
        seconds(median(answersMs)),
        seconds(Math.max(...answersMs)),
      ]),
    ]),
  ].join('\n\n');

const lists = ({ listContainersMs }: FirstAnswers): number => listContainersMs;

const seconds = (ms: number): string => (ms / 1_000).toFixed(2);
