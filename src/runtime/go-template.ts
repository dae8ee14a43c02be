import { CriError } from '../base/errors.js';

/** The fields of a template by name (`.Name`): each is a text or a list of texts. */
export type TemplateData = Readonly<Record<string, string | readonly string[]>>;

/**
 * Renders the part of Go's text/template (https://pkg.go.dev/text/template) that templates of CNI configurations use:
 * fields, variables, `range`, `if`, `else`, `end`, and `-` for trimming. FAILED_PRECONDITION names any other action.
 */
export function renderGoTemplate(text: string, data: TemplateData): string {
  const tokens = tokensOf(text);
  const { nodes, next } = parse(tokens, 0);
  if (next < tokens.length) throw unknown(tokens[next]!.text);
  return render(nodes, { dot: data, variables: new Map() });
}

type Value = TemplateData | string | number | readonly string[];
type Token = { readonly kind: 'text' | 'action'; readonly text: string };
type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'value'; readonly of: string }
  | { readonly kind: 'if'; readonly of: string; readonly then: Node[]; readonly otherwise: Node[] }
  | {
      readonly kind: 'range';
      readonly names: readonly string[];
      readonly of: string;
      readonly then: Node[];
      readonly otherwise: Node[];
    };
interface Scope {
  readonly dot: Value;
  readonly variables: ReadonlyMap<string, Value>;
}

const RANGE = /^range (?:(\$\w+)(?:\s*,\s*(\$\w+))?\s*:=\s*)?(\S+)$/;
const VALUE = /^(\.|\.\w+|\$\w+)$/;

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  let trim = false;
  for (const [index, part] of text.split(/\{\{(.*?)\}\}/s).entries()) {
    if (index % 2 === 0) {
      tokens.push({ kind: 'text', text: trim ? part.trimStart() : part });
      continue;
    }
    const before = tokens.at(-1)!;
    if (/^-\s/.test(part)) tokens[tokens.length - 1] = { kind: 'text', text: before.text.trimEnd() };
    trim = /\s-$/.test(part);
    const action = part.replace(/^-\s|\s-$/g, '').trim();
    if (!action.startsWith('/*')) tokens.push({ kind: 'action', text: action });
  }
  return tokens;
}

/** Parses up to the `else` or `end` of the enclosing block. */
function parse(tokens: readonly Token[], from: number): { nodes: Node[]; next: number } {
  const nodes: Node[] = [];
  let at = from;
  while (at < tokens.length) {
    const { kind, text } = tokens[at]!;
    if (kind === 'text') nodes.push({ kind, text });
    else if (text === 'else' || text === 'end') return { nodes, next: at };
    else if (VALUE.test(text)) nodes.push({ kind: 'value', of: text });
    else {
      const block = parseBlock(tokens, at);
      nodes.push(block.node);
      at = block.end;
    }
    at++;
  }
  return { nodes, next: at };
}

function parseBlock(tokens: readonly Token[], at: number): { node: Node; end: number } {
  const { text } = tokens[at]!;
  const then = parse(tokens, at + 1);
  const hasElse = tokens[then.next]?.text === 'else';
  const otherwise = hasElse ? parse(tokens, then.next + 1) : { nodes: [], next: then.next };
  if (tokens[otherwise.next]?.text !== 'end') throw unknown(text);
  const branches = { then: then.nodes, otherwise: otherwise.nodes };
  const condition = /^if (\S+)$/.exec(text)?.[1];
  if (condition !== undefined && VALUE.test(condition)) {
    return { node: { kind: 'if', of: condition, ...branches }, end: otherwise.next };
  }
  const [, first, second, of] = RANGE.exec(text) ?? [];
  if (of === undefined || !VALUE.test(of)) throw unknown(text);
  const names = [first, second].filter((name) => name !== undefined);
  return { node: { kind: 'range', names, of, ...branches }, end: otherwise.next };
}

const render = (nodes: readonly Node[], scope: Scope): string => nodes.map((node) => renderNode(node, scope)).join('');

function renderNode(node: Node, scope: Scope): string {
  switch (node.kind) {
    case 'text':
      return node.text;
    case 'value': {
      const value = valueOf(node.of, scope);
      return typeof value === 'object' ? `[${Object.values(value).join(' ')}]` : String(value);
    }
    case 'if': {
      const value = valueOf(node.of, scope);
      const isTrue = typeof value === 'object' ? Object.keys(value).length > 0 : value !== '' && value !== 0;
      return render(isTrue ? node.then : node.otherwise, scope);
    }
    case 'range': {
      const items = valueOf(node.of, scope);
      if (!Array.isArray(items)) throw unknown(`range ${node.of}`);
      if (items.length === 0) return render(node.otherwise, scope);
      return (items as readonly string[])
        .map((item, index) => render(node.then, inside(scope, node.names, index, item)))
        .join('');
    }
  }
}

/** Returns the scope of one item of a range: one name is the item's, two names are the index's and the item's. */
function inside(scope: Scope, names: readonly string[], index: number, item: string): Scope {
  const variables = new Map(scope.variables);
  if (names.length > 0) variables.set(names.at(-1)!, item);
  if (names.length > 1) variables.set(names[0]!, index);
  return { dot: item, variables };
}

function valueOf(name: string, { dot, variables }: Scope): Value {
  if (name === '.') return dot;
  const value = name.startsWith('$') ? variables.get(name) : (dot as TemplateData)[name.slice(1)];
  if (value === undefined) throw unknown(name);
  return value;
}

const unknown = (action: string): CriError =>
  new CriError('FAILED_PRECONDITION', `template: {{${action}}} is not supported`);
