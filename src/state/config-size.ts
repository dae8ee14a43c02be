import { invalidArgument } from '../base/errors.js';
import { GO_MAP_FIELDS, stringifyGoJson, toGoJson } from './go-json.js';

/**
 * containerd's record holds a config twice, as itself and in the OCI spec: together at most 8 MiB of the 16 MiB that
 * containerd can send in one message.
 */
export const MAX_CONFIG_BYTES = 4 << 20;

/**
 * Throws INVALID_ARGUMENT when `json`, the config as JSON, is too large; a control character takes six bytes there. The
 * error names the largest field.
 */
export function checkConfigSize(config: object, json: string): void {
  const bytes = Buffer.byteLength(json);
  if (bytes <= MAX_CONFIG_BYTES) return;
  const { field, bytes: most } = largest(toGoJson(config) as object, 'config', bytes);
  throw invalidArgument(
    field,
    `${most} bytes as JSON; the whole config has ${bytes}, and may have ${MAX_CONFIG_BYTES} at most`,
  );
}

/**
 * Returns the largest field; descends into messages, not lists and maps, while one field has at least half the bytes.
 */
function largest(value: object, field: string, bytes: number): { readonly field: string; readonly bytes: number } {
  const [first] = Object.entries(value)
    .map(([name, member]) => ({ name, member: member as unknown, bytes: Buffer.byteLength(stringifyGoJson(member)) }))
    .sort((one, other) => other.bytes - one.bytes);
  if (!first || first.bytes < bytes / 2) return { field, bytes };
  const { name, member } = first;
  const path = `${field}.${name}`;
  const isMessage = typeof member === 'object' && member !== null && !Array.isArray(member) && !GO_MAP_FIELDS.has(name);
  return isMessage ? largest(member, path, first.bytes) : { field: path, bytes: first.bytes };
}
