/**
 * Converts the Markdown of docs/ to a manual page's text: headings, paragraphs, lists, code blocks and tables. A row of
 * a table becomes an entry that begins with its first cell, because the tables are wider than a terminal.
 */
export function roff(markdown: string): string {
  const lines = markdown.split('\n');
  const out: string[] = [];
  for (let at = 0; at < lines.length;) {
    const { text, next } = block(lines, at);
    out.push(...text);
    at = next;
  }
  return out.join('\n');
}

/** Escapes a text that is printed as it is. */
export const literal = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('`', '\\(ga')
    .replaceAll(/^([.'])/gm, '\\&$1');

/** Converts the marks within a paragraph: code and bold become bold, a link its text. */
export function inline(markdown: string): string {
  const parts = markdown.split(/(`[^`]+`|\*\*[^*]+\*\*|\[[^\]]*\]\([^)]*\))/);
  const text = parts.map((part) => {
    if (part.startsWith('`')) return `\\fB${literal(part.slice(1, -1))}\\fP`;
    if (part.startsWith('**')) return `\\fB${prose(part.slice(2, -2))}\\fP`;
    const link = /^\[([^\]]*)\]\([^)]*\)$/.exec(part);
    return link ? inline(link[1] ?? '') : prose(part);
  });
  return text.join('').replaceAll(/^([.'])/gm, '\\&$1');
}

const prose = (text: string): string => text.replaceAll('\\', '\\e');

interface Block {
  readonly text: readonly string[];
  readonly next: number;
}

function block(lines: readonly string[], at: number): Block {
  const line = lines[at] ?? '';
  if (line.trim() === '') return { text: [], next: at + 1 };
  if (line.startsWith('```')) return code(lines, at);
  if (line.startsWith('|')) return table(lines, at);
  const heading = /^(#+) (.*)/.exec(line);
  if (heading) {
    const isSection = heading[1] === '##';
    const title = inline(heading[2] ?? '');
    return { text: [isSection ? `.SH ${title.toUpperCase()}` : `.SS ${title}`], next: at + 1 };
  }
  const item = /^(-|\d+\.) +(.*)/.exec(line);
  const next = endOfText(lines, at);
  const text = [item?.[2] ?? line, ...lines.slice(at + 1, next)].map((each) => inline(each.trim()));
  if (!item) return { text: ['.PP', ...text], next };
  return { text: [item[1] === '-' ? '.IP \\(bu 2' : `.IP ${item[1]} 4`, ...text], next };
}

/** A paragraph or an item ends before an empty line, and before anything that begins another block. */
function endOfText(lines: readonly string[], at: number): number {
  let next = at + 1;
  while (next < lines.length && lines[next]?.trim() !== '' && !/^(```|\||#|- |\d+\. )/.test(lines[next] ?? '')) next++;
  return next;
}

function code(lines: readonly string[], at: number): Block {
  const end = lines.indexOf('```', at + 1);
  if (end < 0) throw new Error(`line ${at + 1}: the code block has no end`);
  const text = lines.slice(at + 1, end).map(literal);
  return { text: ['.PP', '.in +4n', '.nf', ...text, '.fi', '.in'], next: end + 1 };
}

function table(lines: readonly string[], at: number): Block {
  let next = at;
  while (lines[next]?.startsWith('|')) next++;
  const [head = [], , ...rows] = lines.slice(at, next).map(cells);
  let above = '';
  const text = rows.flatMap(([first = '', ...others]) => {
    // An empty first cell repeats the one above it.
    above = first || above;
    const isOption = head[0] === 'key';
    const term = isOption ? `${first} = ${others[0]}` : above;
    const rest = isOption ? others.slice(1) : others;
    const body = rest.length === 1 ? rest : rest.map((cell, index) => (cell ? `${head[index + 1]}: ${cell}` : ''));
    return [
      '.TP',
      inline(term),
      ...body.filter(Boolean).flatMap((cell, index) => (index ? ['.br', inline(cell)] : [inline(cell)])),
    ];
  });
  return { text, next };
}

/** Splits a row at its bars, except for escaped ones. */
const cells = (row: string): string[] =>
  row
    .replaceAll(/^\||\|$/g, '')
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll('\\|', '|'));
