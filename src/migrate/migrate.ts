import { CriError } from '../base/errors.js';
import { describeFindings } from '../doctor/finding.js';
import type { Direction } from './move-node.js';
import { nextDirection, planMove, type MovePlan } from './move-plan.js';
import { runMove, type MoveRun } from './run-move.js';
import { diffLines } from './text-diff.js';

export interface MigrateOptions {
  /** Undefined plans the move that the node can make next, and changes nothing. */
  readonly direction: Direction | undefined;
  /** Whether to carry the plan out. */
  readonly yes: boolean;
}

/**
 * Shows the node and the plan of its move from containerd's CRI plugin to crid or back, and carries it out with `yes`.
 * FAILED_PRECONDITION names every obstacle, before anything is changed.
 */
export async function migrate(run: MoveRun, { direction, yes }: MigrateOptions): Promise<void> {
  const plan = await planMove(run, direction ?? (await nextDirection(run)));
  for (const line of describePlan(plan)) run.say(line);
  if (plan.obstacles.length > 0) throw new CriError('FAILED_PRECONDITION', plan.obstacles.join('\n'));
  if (direction === undefined) return;
  if (!isNeeded(plan) && !plan.isInterrupted) return;
  if (yes) return runMove(run, plan);
  run.say('nothing was changed: repeat with --yes to do this');
}

/** Returns the lines of `crid migrate`: the node, each change of a file as a diff, and each command. */
export function describePlan(plan: MovePlan): string[] {
  const target = plan.direction === 'back' ? "to containerd's CRI plugin" : 'to crid';
  const steps = plan.steps.filter(({ files, commands }) => files.length + commands.length > 0);
  return [
    ...describeFindings(plan.findings).trimEnd().split('\n'),
    '',
    ...(steps.length === 0
      ? [`the node has moved ${target}: nothing is left to do`]
      : [`plan: move the node ${target}`]),
    ...steps.flatMap(({ name, files, commands }, index) => [
      `${index + 1}. ${name}`,
      ...files
        .flatMap(({ path, before, after }) => diffLines(path, before?.text, after?.text))
        .map((line) => `   ${line}`),
      ...commands.map((command) => `   ${command.join(' ')}`),
    ]),
    ...(steps.length === 0 ? [] : plan.notes.map((note) => `by hand: ${note}`)),
  ];
}

const isNeeded = ({ steps }: MovePlan): boolean =>
  steps.some(({ files, commands }) => files.length + commands.length > 0);
