import { isDeepStrictEqual } from 'node:util';
import { parse } from 'smol-toml';
import { CriError } from '../base/errors.js';
import { CRI_PLUGINS } from '../config/containerd-layout.js';
import { arrayElements, endOfLine, topOfToml } from './toml-text.js';

const KEY = 'disabled_plugins';
const CRI_PLUGIN = 'io.containerd.grpc.v1.cri';

/** A node without a config.toml gets this one: containerd's defaults, in a version that all releases of 2.x read. */
const NEW_FILE = `version = 3\n${KEY} = ["${CRI_PLUGIN}"]\n`;

/**
 * Returns containerd's config.toml with its CRI plugin in `disabled_plugins`. Comments, order and everything else stay.
 * `text` is undefined when there is no file. FAILED_PRECONDITION when the text cannot be edited safely.
 */
export function disableCri(text: string | undefined): string {
  if (text === undefined) return NEW_FILE;
  return checked(text, (names) => (names.some(isCri) ? names : [...names, CRI_PLUGIN]), withCri(text));
}

/** Returns the text without any name of the CRI plugin in `disabled_plugins`. */
export function enableCri(text: string): string {
  let next = text;
  for (let without = withoutOne(next); without !== undefined; without = withoutOne(next)) next = without;
  return checked(text, (names) => names.filter((name) => !isCri(name)), next);
}

const isCri = (name: unknown): boolean => CRI_PLUGINS.some((plugin) => plugin === name);

function withCri(text: string): string {
  const quoted = `"${CRI_PLUGIN}"`;
  const newline = text.includes('\r\n') ? '\r\n' : '\n';
  const values = topOfToml(text);
  const list = values.find(({ key }) => key === KEY);
  if (list === undefined) {
    const line = `${KEY} = [${quoted}]`;
    const before = values.find(({ key }) => key === 'version') ?? values.at(-1);
    if (before === undefined) return `${line}${newline}${text}`;
    return insert(text, endOfLine(text, before.end), `${newline}${line}`);
  }
  const { elements, close } = arrayElements(text, list.start);
  if (elements.some(({ start, end }) => isCri(text.slice(start + 1, end - 1)))) return text;
  const last = elements.at(-1);
  if (last === undefined)
    return insert(text, close, text.slice(list.start, close).includes('\n') ? `${quoted}${newline}` : quoted);
  const afterLast = text.slice(last.end, close);
  const hasComma = /^\s*,/.test(afterLast);
  if (!afterLast.includes('\n')) return insert(text, last.end, `, ${quoted}`);
  // The closing bracket has a line of its own, so the new element gets one too, after the comments of the last element.
  const lineOfClose = text.lastIndexOf('\n', close) + 1;
  const indent = /[ \t]*$/.exec(text.slice(0, last.start))?.[0] ?? '';
  const withElement = insert(text, lineOfClose, `${indent}${quoted},${newline}`);
  return hasComma ? withElement : insert(withElement, last.end, ',');
}

/** Removes the first name of the plugin with its comma; undefined when there is none. */
function withoutOne(text: string): string | undefined {
  const list = topOfToml(text).find(({ key }) => key === KEY);
  if (list === undefined || text[list.start] !== '[') return undefined;
  const { elements, close } = arrayElements(text, list.start);
  const index = elements.findIndex(({ start, end }) => isCri(text.slice(start + 1, end - 1)));
  const element = elements[index];
  if (element === undefined) return undefined;
  const lineStart = text.lastIndexOf('\n', element.start) + 1;
  const comma = /^[ \t]*,/.exec(text.slice(element.end, close))?.[0].length ?? 0;
  const end = element.end + comma;
  const isOnOwnLine = text.slice(lineStart, element.start).trim() === '' && endOfLine(text, end) === skipTo(text, end);
  if (isOnOwnLine && lineStart > list.start) return cut(text, lineStart, text.indexOf('\n', end) + 1);
  const previous = elements[index - 1];
  if (previous && text.slice(previous.end, element.start).trim() === ',') return cut(text, previous.end, element.end);
  return cut(text, element.start, comma > 0 ? skipTo(text, end) : end);
}

/** Skips spaces of the same line. */
const skipTo = (text: string, from: number): number => from + (/^[ \t]*/.exec(text.slice(from))?.[0].length ?? 0);

const insert = (text: string, at: number, more: string): string => text.slice(0, at) + more + text.slice(at);
const cut = (text: string, from: number, to: number): string => text.slice(0, from) + text.slice(to);

/** Returns `edited` if it differs from `text` in the list alone. */
function checked(text: string, change: (names: unknown[]) => unknown[], edited: string): string {
  const before = parse(text);
  const names = before[KEY] ?? [];
  const expected = Array.isArray(names) ? change(names) : undefined;
  const { [KEY]: list, ...rest } = tolerant(edited);
  const { [KEY]: _, ...unchanged } = before;
  if (expected && isDeepStrictEqual(list ?? [], expected) && isDeepStrictEqual(rest, unchanged)) return edited;
  throw new CriError('FAILED_PRECONDITION', `${KEY} cannot be edited safely: change it by hand, then repeat`);
}

function tolerant(text: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch {
    return {};
  }
}
