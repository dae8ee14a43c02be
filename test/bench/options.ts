import { Command, InvalidArgumentError } from 'commander';

export interface Options {
  readonly rounds: number;
  /** The numbers of containers of the part `growth`, ascending. */
  readonly sizes: readonly number[];
  /** Names of parts or operations; empty for all parts that are not slow. */
  readonly only: readonly string[];
  /** The slow parts, too. */
  readonly all: boolean;
  readonly json?: string;
  readonly write?: string;
  /** Measures the reference on both sides, which shows how much of a difference is chance. */
  readonly self: boolean;
  /** Measures a second crid, whose runtime handler has this `sandboxer`. */
  readonly sandboxer?: string;
  /** crid's log level. If set, the log is kept. */
  readonly cridLog?: string;
}

export function parseOptions(args: readonly string[], parts: readonly string[]): Options {
  const command = new Command('bench')
    .description("Times each CRI call of crid and of the same containerd's own CRI plugin, side by side")
    .option('--rounds <n>', 'how often the expensive calls run on each side', wholeNumber, 25)
    .option('--sizes <numbers>', 'containers on each side, of the part growth', ascending, [10, 100, 500, 1_000])
    .option('--only <names>', `parts or operations, with commas: ${parts.join(', ')}`, list, [])
    .option('--all', 'run the parts growth and nri, too', false)
    .option('--sandboxer <name>', 'measure a second crid beside the first, with this sandboxer')
    .option('--json <file>', 'write the results there too')
    .option('--write <file>', 'rewrite the results in this document')
    .option('--self', "measure containerd's plugin against itself: how much of a difference is chance", false)
    .option('--crid-log <file>', "keep crid's log, at the level debug (which slows it)");
  return command.parse(args, { from: 'user' }).opts<Options>();
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new InvalidArgumentError('expected a whole number from 1 to 99999');
  return Number(text);
}

function ascending(text: string): number[] {
  if (!/^[1-9]\d{0,4}(,[1-9]\d{0,4})*$/.test(text)) throw new InvalidArgumentError('expected numbers with commas');
  return [...new Set(text.split(',').map(Number))].sort((a, b) => a - b);
}

const list = (text: string): string[] =>
  text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
