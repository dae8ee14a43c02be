import type { Command, Option } from 'commander';
import { inline, literal, roff } from './roff.js';
import { section } from './text.js';

/** The version that both pages name, and the time of the commit in seconds since 1970. */
export interface Edition {
  readonly version: string;
  readonly epoch: number;
}

/** crid(8): the command line's own table, with the parts of the documents that an operator looks up. */
export function cridPage(program: Command, documents: { readme: string; systemd: string }, edition: Edition): string {
  const [, introduction = ''] = /^# crid\n\n([^]*?)\n\n```/.exec(documents.readme) ?? [];
  return page('crid', 8, edition, [
    '.SH NAME',
    'crid \\- Kubernetes CRI server on an existing containerd',
    '.SH SYNOPSIS',
    ...leaves(program).flatMap(({ path, command }) => ['.PP', synopsis(path, command)]),
    '.SH DESCRIPTION',
    roff(introduction),
    '.SH COMMANDS',
    ...leaves(program).flatMap(({ path, command }) => [
      '.TP',
      synopsis(path, command),
      inline(sentence(command.description())),
      ...argumentsOf(command),
      ...command.options.flatMap(optionEntry),
    ]),
    '.SH FILES',
    roff(section(documents.systemd, 'Sockets and files')),
    '.SH SEE ALSO',
    '.BR crid.toml (5),',
    '.BR systemctl (1)',
  ]);
}

/** crid.toml(5): docs/configuration.md whole. */
export function configurationPage(document: string, edition: Edition): string {
  return page('crid.toml', 5, edition, [
    '.SH NAME',
    'crid.toml \\- configuration of crid',
    '.SH SYNOPSIS',
    '/etc/crid/config.toml',
    '.SH DESCRIPTION',
    roff(document.replace(/^# .*\n/, '')),
    '.SH SEE ALSO',
    '.BR crid (8)',
  ]);
}

function page(name: string, chapter: number, { version, epoch }: Edition, body: readonly string[]): string {
  const date = new Date(epoch * 1000).toISOString().slice(0, 10);
  return `.TH ${name} ${chapter} ${date} "crid ${version}"\n${body.join('\n')}\n`;
}

/** The commands that do something, with their names below `crid`. */
export function leaves(
  command: Command,
  above: readonly string[] = [],
): { path: readonly string[]; command: Command }[] {
  if (command.commands.length === 0) return [{ path: above, command }];
  return command.commands.flatMap((child) => leaves(child, [...above, child.name()]));
}

function synopsis(path: readonly string[], { registeredArguments, options }: Command): string {
  const args = registeredArguments.map((each) => `[\\fI${each.name()}\\fP]`);
  return [`\\fBcrid ${path.join(' ')}\\fP`, ...(options.length > 0 ? ['[options]'] : []), ...args].join(' ');
}

function argumentsOf({ registeredArguments }: Command): string[] {
  return registeredArguments.flatMap((each) => [
    '.RS',
    '.TP',
    `\\fI${each.name()}\\fP`,
    inline(sentence(each.description)),
    '.RE',
  ]);
}

function optionEntry({ flags, description, defaultValue }: Option): string[] {
  const [flag = '', value] = flags.split(' ');
  const shown = value === undefined ? '' : ` \\fI${value.replaceAll(/[<>]/g, '')}\\fP`;
  const standard = typeof defaultValue === 'number' ? ` (default: ${defaultValue})` : '';
  return ['.RS', '.TP', `\\fB${literal(flag)}\\fP${shown}`, inline(sentence(description + standard)), '.RE'];
}

/** The names of programs keep their small letters. */
const sentence = (phrase: string): string =>
  /^(crid|containerd)/.test(phrase) ? `${phrase}.` : `${phrase.charAt(0).toUpperCase()}${phrase.slice(1)}.`;
