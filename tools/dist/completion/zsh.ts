import { optionNames, pathBelow, type CommandNode, type Entry } from './commands.js';

/** The path below /usr/local of a file that zsh finds. */
export const ZSH_COMPLETION = 'share/zsh/site-functions/_crid';

/** Returns the completion of `crid` for zsh, a file `_crid` of its fpath: the same as for bash, with descriptions. */
export function zshCompletion(nodes: readonly CommandNode[]): string {
  const descents = nodes.flatMap(({ path, children }) =>
    children.map((child) => `      '${path} ${child.name}') at='${pathBelow(path, child)}' ;;`),
  );
  const entries = nodes.map(({ path, children, options }) =>
    [
      `    '${path}')`,
      ...(children.length > 0 ? ['      commands=(', ...children.map(described), '      )'] : []),
      '      options=(',
      ...options.map(described),
      '      )',
      '      ;;',
    ].join('\n'),
  );
  return `#compdef crid

_crid() {
  local at='' word
  local -a commands options
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$at $word" in
${descents.join('\n')}
    esac
  done
  case "\${words[CURRENT-1]}" in
    ${optionNames(nodes, 'path').join(' | ')})
      _files
      return
      ;;
    ${optionNames(nodes, 'other').join(' | ')})
      _message value
      return
      ;;
  esac
  case "$at" in
${entries.join('\n')}
  esac
  local failed=1
  (( $#commands )) && _describe -t commands command commands && failed=0
  _describe -o -t options option options && failed=0
  return failed
}

_crid "$@"
`;
}

const described = ({ name, description }: Entry): string =>
  `        '${name}:${description.replaceAll('\\', '\\\\').replaceAll("'", `'\\''`)}'`;
