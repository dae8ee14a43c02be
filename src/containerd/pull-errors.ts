import { CriError, type CodeName, type Reason } from '../base/errors.js';
import { redact } from './redact.js';

interface Kind {
  readonly code: CodeName;
  readonly reason?: Reason;
}

const SIGNATURE: Kind = { code: 'PERMISSION_DENIED', reason: 'SignatureValidationFailed' };
const REGISTRY: Kind = { code: 'UNAVAILABLE', reason: 'RegistryUnavailable' };

/** containerd returns these errors as text with the code UNKNOWN. The first match counts. */
const PATTERNS: readonly (readonly [RegExp, Kind])[] = [
  // The verifier has refused the image, or has failed; its own words follow.
  [/image verifier \S+ (?:blocked pull of|returned error:)/, SIGNATURE],
  [/no space left on device/i, { code: 'RESOURCE_EXHAUSTED' }],
  // The layer was fetched, but is no archive.
  [/failed to (?:extract|unpack|apply) .*(?:EOF|gzip|zstd|tar|checksum|magic number)/i, { code: 'DATA_LOSS' }],
  [
    /\b401\b|unauthorized|no basic auth credentials|missing username or secret|invalid authorization/i,
    { code: 'UNAUTHENTICATED' },
  ],
  [/\b403\b|forbidden|insufficient_scope|authorization failed|access denied/i, { code: 'PERMISSION_DENIED' }],
  [/\b429\b|too many requests|toomanyrequests/i, { code: 'RESOURCE_EXHAUSTED' }],
  // A plugin of containerd, such as a proxy snapshotter, does not answer.
  [/dial unix /, { code: 'UNAVAILABLE' }],
  [
    /dial tcp|connection refused|no such host|network is unreachable|no route to host|host is down|connection reset/i,
    REGISTRY,
  ],
  [/i\/o timeout|connection timed out|TLS handshake timeout|server misbehaving|unexpected EOF|: EOF$/i, REGISTRY],
  [/unexpected status[^:]* 5\d\d\b|\b50[234]\b/i, REGISTRY],
  [/: not found$|\b404\b|manifest unknown|name unknown/i, { code: 'NOT_FOUND' }],
  [
    /invalid reference|could not parse reference|invalid digest|parse "dummy:|object required/i,
    { code: 'INVALID_ARGUMENT' },
  ],
];

/**
 * Codes of containerd that carry no information. DEADLINE_EXCEEDED is a registry that does not respond: a pull has no
 * deadline of crid's, and Go counts a timeout of a connection as one.
 */
const VAGUE: ReadonlySet<CodeName> = new Set(['UNKNOWN', 'INTERNAL', 'DEADLINE_EXCEEDED']);

/**
 * Returns the error of a pull: the reference in its message, a code and a reason derived from the text, and secrets
 * redacted.
 */
export function pullError(thrown: unknown, reference: string, secrets: Iterable<string>): CriError {
  const error = CriError.from(thrown);
  const text = redact(error.message, secrets).replace(/^transfer\.pull: /, '');
  const message = text.includes(reference) ? `transfer.pull: ${text}` : `transfer.pull: "${reference}": ${text}`;
  const { code, reason }: Kind = (VAGUE.has(error.code) && kindOf(text, reference)) || { code: error.code };
  return new CriError(code, message, { reason });
}

/** Ignores the reference and URLs: a repository may be called `team/403`. */
function kindOf(text: string, reference: string): Kind | undefined {
  const words = text.replaceAll(reference, '').replace(/\bhttps?:\/\/\S+/g, '');
  return PATTERNS.find(([pattern]) => pattern.test(words))?.[1];
}
