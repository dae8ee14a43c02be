import { invalidArgument } from '../base/errors.js';
import { GO_MAP_FIELDS, stringifyGoJson, toGoJson } from './go-json.js';

/**
 * A config stands in containerd's record twice, as itself and in the OCI spec: the record then has 8 MiB of the 16 MiB
 * that containerd can send.
 */
export const MAX_CONFIG_BYTES = 4 << 20;

/**
 * INVALID_ARGUMENT for a config that is too large as JSON, where a control character takes six bytes; it names the field
 * that takes most. `json`: the config's JSON.
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

/** Goes down into messages, not into lists and maps, as long as one field has most of it. */
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
