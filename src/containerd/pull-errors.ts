import { CriError, type CodeName } from '../base/errors.js';
import { redact } from './redact.js';

/** containerd returns these errors as text with the code UNKNOWN. The first match counts. */
const PATTERNS: readonly (readonly [RegExp, CodeName])[] = [
  [
    /\b401\b|unauthorized|no basic auth credentials|missing username or secret|invalid authorization/i,
    'UNAUTHENTICATED',
  ],
  [/\b403\b|forbidden|insufficient_scope|authorization failed|access denied/i, 'PERMISSION_DENIED'],
  [/\b429\b|too many requests|toomanyrequests/i, 'RESOURCE_EXHAUSTED'],
  [/connection refused|no such host|network is unreachable|no route to host|connection reset/i, 'UNAVAILABLE'],
  [/i\/o timeout|TLS handshake timeout|server misbehaving|unexpected EOF|\b50[234]\b/i, 'UNAVAILABLE'],
  [/: not found$|\b404\b|manifest unknown|name unknown/i, 'NOT_FOUND'],
  [/invalid reference|could not parse reference|invalid digest|parse "dummy:|object required/i, 'INVALID_ARGUMENT'],
  [/no space left on device/i, 'RESOURCE_EXHAUSTED'],
];

/** Codes of containerd that carry no information. */
const VAGUE: ReadonlySet<CodeName> = new Set(['UNKNOWN', 'INTERNAL']);

/** Returns the error of a pull: the reference in its message, a code derived from the text, and secrets redacted. */
export function pullError(thrown: unknown, reference: string, secrets: Iterable<string>): CriError {
  const error = CriError.from(thrown);
  const text = redact(error.message, secrets).replace(/^transfer\.pull: /, '');
  const message = text.includes(reference) ? `transfer.pull: ${text}` : `transfer.pull: "${reference}": ${text}`;
  return new CriError(VAGUE.has(error.code) ? codeOf(text, reference) : error.code, message);
}

/** Ignores the reference and URLs: a repository may be called `team/403`. */
function codeOf(text: string, reference: string): CodeName {
  const words = text.replaceAll(reference, '').replace(/\bhttps?:\/\/\S+/g, '');
  return PATTERNS.find(([pattern]) => pattern.test(words))?.[1] ?? 'UNKNOWN';
}
