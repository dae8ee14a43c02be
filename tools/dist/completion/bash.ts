import { optionNames, pathBelow, type CommandNode } from './commands.js';

/**
 * Returns the completion of `crid` for bash: the names of commands, their options, and files for the options that take
 * a path.
 */
export function bashCompletion(nodes: readonly CommandNode[]): string {
  const descents = nodes.flatMap(({ path, children }) =>
    children.map((child) => `      '${path} ${child.name}') at='${pathBelow(path, child)}' ;;`),
  );
  const words = nodes.map(
    ({ path, children, options }) =>
      `    '${path}') words='${[...children, ...options].map(({ name }) => name).join(' ')}' ;;`,
  );
  return `# bash completion of crid

_crid() {
  local at='' words='' word current=\${COMP_WORDS[COMP_CWORD]}
  COMPREPLY=()
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$at $word" in
${descents.join('\n')}
    esac
  done
  case "\${COMP_WORDS[COMP_CWORD-1]}" in
    ${optionNames(nodes, 'path').join(' | ')})
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return
      ;;
    ${optionNames(nodes, 'other').join(' | ')}) return ;;
  esac
  case "$at" in
${words.join('\n')}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -o filenames -F _crid crid
`;
}
