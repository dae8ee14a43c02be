import { CriError } from '../base/errors.js';

/** A value at the top of a TOML document, as offsets into its text. `end` is after the last character. */
export interface TopValue {
  readonly key: string;
  readonly start: number;
  readonly end: number;
}

/**
 * Finds the keys before the first table (TOML 1.0). The document must have been parsed before, because errors of syntax
 * are not reported here. FAILED_PRECONDITION where the text cannot be followed.
 */
export function topOfToml(text: string): TopValue[] {
  const values: TopValue[] = [];
  let at = skipBlank(text, 0);
  while (at < text.length && text[at] !== '[') {
    const equals = endOfKey(text, at);
    const start = skipSpaces(text, equals + 1);
    const end = endOfValue(text, start);
    values.push({ key: unquoted(text.slice(at, equals).trim()), start, end });
    at = skipBlank(text, end);
  }
  return values;
}

/** Returns the elements of the array that begins at `start`, and the offset of its closing bracket. */
export function arrayElements(
  text: string,
  start: number,
): { readonly elements: readonly { readonly start: number; readonly end: number }[]; readonly close: number } {
  const elements: { start: number; end: number }[] = [];
  let at = skipBlank(text, start + 1);
  while (text[at] !== ']') {
    if (at >= text.length) throw lost(text, start);
    const end = endOfValue(text, at);
    elements.push({ start: at, end });
    at = skipBlank(text, end);
    if (text[at] === ',') at = skipBlank(text, at + 1);
  }
  return { elements, close: at };
}

/** Skips spaces, line ends and comments. */
export function skipBlank(text: string, from: number): number {
  let at = from;
  for (;;) {
    if (/\s/.test(text[at] ?? '')) at++;
    else if (text[at] === '#') at = endOfLine(text, at);
    else return at;
  }
}

/** Returns the offset of the line's end, before its `\r\n` or `\n`. */
export function endOfLine(text: string, from: number): number {
  const at = text.indexOf('\n', from);
  if (at === -1) return text.length;
  return text[at - 1] === '\r' && at > from ? at - 1 : at;
}

function skipSpaces(text: string, from: number): number {
  let at = from;
  while (text[at] === ' ' || text[at] === '\t') at++;
  return at;
}

function endOfKey(text: string, from: number): number {
  let at = from;
  while (at < text.length && text[at] !== '=') {
    if (text[at] === '\n') break;
    at = text[at] === '"' || text[at] === "'" ? endOfString(text, at) : at + 1;
  }
  if (text[at] !== '=') throw lost(text, from);
  return at;
}

function endOfValue(text: string, from: number): number {
  const first = text[from];
  if (first === '"' || first === "'") return endOfString(text, from);
  if (first === '[' || first === '{') return endOfNested(text, from);
  let at = from;
  while (at < text.length && !/[\s,\]}#]/.test(text[at] ?? '')) at++;
  if (at === from) throw lost(text, from);
  // A date and its time may have a space between them.
  const rest = /^ \d{2}:\d{2}[^\s,\]}#]*/.exec(text.slice(at, at + 40));
  return rest && /^\d{4}-\d{2}-\d{2}$/.test(text.slice(from, at)) ? at + rest[0].length : at;
}

function endOfNested(text: string, from: number): number {
  let depth = 0;
  for (let at = skipBlank(text, from); at < text.length; at = skipBlank(text, at)) {
    const char = text[at] ?? '';
    if (char === '"' || char === "'") {
      at = endOfString(text, at);
      continue;
    }
    if ('[{'.includes(char)) depth++;
    if (']}'.includes(char) && --depth === 0) return at + 1;
    at++;
  }
  throw lost(text, from);
}

function endOfString(text: string, from: number): number {
  const quote = text[from] ?? '';
  const isLong = text.startsWith(quote.repeat(3), from);
  const mark = isLong ? quote.repeat(3) : quote;
  let at = from + mark.length;
  while (at < text.length && !text.startsWith(mark, at)) at += quote === '"' && text[at] === '\\' ? 2 : 1;
  if (at >= text.length) throw lost(text, from);
  at += mark.length;
  // A long string may end with up to two quotes of its own.
  while (isLong && text[at] === quote) at++;
  return at;
}

const unquoted = (key: string): string => /^(["'])([^"'\\]*)\1$/.exec(key)?.[2] ?? key;

function lost(text: string, at: number): CriError {
  const line = text.slice(0, at).split('\n').length;
  return new CriError('FAILED_PRECONDITION', `line ${line}: this TOML cannot be edited safely`);
}
