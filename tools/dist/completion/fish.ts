import { pathBelow, type CommandNode, type Entry, type OptionEntry } from './commands.js';

/** Returns the completion of `crid` for fish: the same as for bash, with descriptions. */
export function fishCompletion(nodes: readonly CommandNode[]): string {
  const descents = nodes.flatMap(({ path, children }) =>
    children.flatMap((child) => [
      `            case ${quoted(`${path} ${child.name}`)}`,
      `                set at ${quoted(pathBelow(path, child))}`,
    ]),
  );
  const entries = nodes.flatMap(({ path, children, options }) => {
    const at = `complete -c crid -n ${quoted(`__crid_at ${quoted(path)}`)}`;
    return [
      ...children.map((child) => `${at} -a ${child.name} ${description(child)}`),
      ...options.map((option) => `${at} -l ${option.name.slice(2)} ${VALUES[option.value]}${description(option)}`),
    ];
  });
  return `# fish completion of crid

# Whether the command line names the command $argv[1], without "crid".
function __crid_at
    set -l at ''
    set -l words (commandline -opc)
    set -e words[1]
    for word in $words
        switch "$at $word"
${descents.join('\n')}
        end
    end
    test "$at" = "$argv[1]"
end

complete -c crid -f
${entries.join('\n')}
`;
}

/** The options of `complete` for an option's value: required, and a file. */
const VALUES: Readonly<Record<OptionEntry['value'], string>> = { none: '', path: '-r -F ', other: '-x ' };

const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
const description = (entry: Entry): string => `-d ${quoted(entry.description)}`;
