import type { Command, Option } from 'commander';

/** A command, as the completions of all shells offer it. */
export interface CommandNode {
  /** The names below `crid`, with spaces; empty for `crid` itself. */
  readonly path: string;
  readonly children: readonly Entry[];
  readonly options: readonly OptionEntry[];
}

export interface Entry {
  readonly name: string;
  /** A single line. */
  readonly description: string;
}

export interface OptionEntry extends Entry {
  /** The kind of argument that follows the option. */
  readonly value: 'none' | 'path' | 'other';
}

const HELP: OptionEntry = { name: '--help', description: 'display help for command', value: 'none' };

/** Returns `crid` and all commands below it. */
export function commandNodes(command: Command, path = ''): CommandNode[] {
  const children = command.commands.map((child) => ({ name: child.name(), description: child.description() }));
  const options = command.options.flatMap((option) => optionEntry(option) ?? []);
  const below = command.commands.flatMap((child) => commandNodes(child, pathBelow(path, child)));
  return [{ path, children, options: [...options, HELP] }, ...below];
}

/** Returns the path of a child of the command at `path`. */
export const pathBelow = (path: string, child: Entry | Command): string =>
  `${path} ${typeof child.name === 'string' ? child.name : child.name()}`.trim();

/** Returns the names of the options with such a value, of all commands. */
export const optionNames = (nodes: readonly CommandNode[], value: OptionEntry['value']): string[] => [
  ...new Set(
    nodes
      .flatMap(({ options }) => options)
      .filter((option) => option.value === value)
      .map(({ name }) => name),
  ),
];

function optionEntry({ long, flags, description }: Option): OptionEntry | undefined {
  if (long === undefined || long === null) return undefined;
  const takesPath = /<(file|socket)>/.test(flags);
  return { name: long, description, value: takesPath ? 'path' : flags.includes('<') ? 'other' : 'none' };
}
