import { CriError } from '../base/errors.js';

/** A place in a text that names a CRI server's socket. */
export interface EndpointPlace {
  /** The key of a YAML file or the flag. */
  readonly name: string;
  /** Offsets of the value; quotes belong to it in a YAML file. */
  readonly start: number;
  readonly end: number;
  /** The value without quotes; "" when there is none. */
  readonly value: string;
}

const FLAGS = ['--container-runtime-endpoint', '--image-service-endpoint'];
/** The keys of the kubelet's configuration, and of crictl's. */
export const KUBELET_KEYS: readonly string[] = ['containerRuntimeEndpoint', 'imageServiceEndpoint'];
export const CRICTL_KEYS: readonly string[] = ['runtime-endpoint', 'image-endpoint'];

/**
 * Finds the flags of the kubelet in a unit, a drop-in, or a file of environment variables. Lines of comments do not
 * count. FAILED_PRECONDITION when the value is no literal path.
 */
export function flagPlaces(text: string): EndpointPlace[] {
  const places: EndpointPlace[] = [];
  for (const match of text.matchAll(new RegExp(`(${FLAGS.join('|')})(?![\\w-])(=|[ \\t]+)?(["']?)([^\\s"']*)`, 'g'))) {
    const [whole, name = '', separator, , value = ''] = match;
    const lineStart = text.lastIndexOf('\n', match.index) + 1;
    if (/^\s*[#;]/.test(text.slice(lineStart, match.index))) continue;
    if (separator === undefined || value === '' || /[$%\\]/.test(value)) {
      throw new CriError('FAILED_PRECONDITION', `${name} has no literal value, so it cannot be edited safely`);
    }
    const end = match.index + whole.length;
    places.push({ name, start: end - value.length, end, value });
  }
  return places;
}

/**
 * Finds keys at the top of a YAML file in block style. FAILED_PRECONDITION for a file or a value in another style,
 * because only lines can be edited without a change to the rest of the file.
 */
export function yamlPlaces(text: string, keys: readonly string[]): EndpointPlace[] {
  const body = text.replace(/^(?:[ \t]*(?:#.*)?\r?\n)*(?:---[ \t]*\r?\n)?/, '');
  if (/^\s*[{[]/.test(body)) throw notLines('it is no YAML in block style');
  if (/^(?:---|\.\.\.)/m.test(body)) throw notLines('it has several documents');
  return keys.flatMap((key) => {
    const found = [...text.matchAll(new RegExp(`^(["']?)${key}\\1[ \\t]*:(?=[ \\t\\r\\n]|$)[ \\t]*`, 'gm'))];
    if (found.length > 1) throw notLines(`it has ${key} more than once`);
    return found.map(({ index, 0: head }) => ({ name: key, ...valueAt(text, index + head.length, key) }));
  });
}

/** Returns the text with new values at the places; YAML values get double quotes if they had quotes. */
export function withEndpoints(text: string, places: readonly EndpointPlace[], value: string): string {
  let next = text;
  for (const { start, end } of [...places].sort((a, b) => b.start - a.start)) {
    const [quote = ''] = /^["']/.exec(next.slice(start, end)) ?? [];
    const space = start > 0 && next[start - 1] === ':' ? ' ' : '';
    const comment = next[end] === '#' ? ' ' : '';
    next = `${next.slice(0, start)}${space}${quote}${value}${quote}${comment}${next.slice(end)}`;
  }
  return next;
}

/** Returns the text with `key: value` on a line at its end. */
export function withLine(text: string, key: string, value: string): string {
  const newline = text.includes('\r\n') ? '\r\n' : '\n';
  const body = text === '' || text.endsWith('\n') ? text : `${text}${newline}`;
  return `${body}${key}: ${value}${newline}`;
}

function valueAt(text: string, start: number, key: string): Omit<EndpointPlace, 'name'> {
  const [line = ''] = /^[^\r\n]*/.exec(text.slice(start)) ?? [];
  const found = /^(?:"([^"\\]*)"|'([^']*)'|([^\s"'#|>&*!{[][^\s#]*)|)(?=[ \t]*(?:#.*)?$)/.exec(line);
  const below = /^\r?\n([ \t]+\S|- )/.test(text.slice(start + line.length));
  if (!found || below) throw notLines(`the value of ${key} is not on one line`);
  const [whole, double, single, plain] = found;
  return { start, end: start + whole.length, value: double ?? single ?? plain ?? '' };
}

const notLines = (reason: string): CriError =>
  new CriError('FAILED_PRECONDITION', `cannot be edited safely, because ${reason}: change it by hand, then repeat`);
