import { stringify } from 'lossless-json';
import { ContainerConfig, ContainerResources, PodSandboxConfig } from '../../generated/runtime/v1/api.js';
import { parseExactJson } from '../base/exact-json.js';

/**
 * CRI messages in the JSON of Go's encoding/json, in which containerd's CRI plugin stores them: keys are the names of
 * the proto's fields, enums are numbers, 64-bit integers are bare numbers, and empty fields are left out (`omitempty`).
 */

/** Returns a message as plain values (null, boolean, number, bigint, string, array, object) with maps sorted by key. */
export function toGoJson(message: object): unknown {
  if (isKeyValue(message)) return toGoJson({ key: message.key, value: Buffer.from(message.value).toString('utf8') });
  const members = Object.entries(message).map(([name, value]) => [name, plainMember(name, value)] as const);
  return Object.fromEntries(members.filter(([, value]) => value !== undefined));
}

/** Returns plain values as JSON text; a bigint becomes a bare number. */
export const stringifyGoJson = (value: unknown): string => stringify(value) ?? 'null';

/** Parses JSON text into plain values; an integer beyond 2^53 becomes a bigint. Throws a SyntaxError. */
export const parseGoJson = parseExactJson;

/** Returns JSON text with every object's keys sorted, so that equal values give equal texts. */
export const canonicalJson = (value: unknown): string => stringifyGoJson(sortKeys(value));

export const podSandboxConfigFromGoJson = (value: unknown): PodSandboxConfig => PodSandboxConfig.fromJSON(value);

export function containerConfigFromGoJson(value: unknown): ContainerConfig {
  const { envs, ...rest } = value as { envs?: readonly { key?: string; value?: string }[] | null };
  // Since CRI v0.34 the value is bytes in the proto, but Go's JSON still has a plain string.
  const base64Envs = envs?.map((env) => ({ key: env.key, value: Buffer.from(env.value ?? '').toString('base64') }));
  return ContainerConfig.fromJSON({ ...rest, envs: base64Envs });
}

export const containerResourcesFromGoJson = (value: unknown): ContainerResources => ContainerResources.fromJSON(value);

/**
 * The fields of all messages in a config that are maps in the proto. In JavaScript a map looks like a message, but Go
 * leaves out an empty map and keeps an empty message, and a map keeps its empty values.
 */
export const GO_MAP_FIELDS: ReadonlySet<string> = new Set(['annotations', 'labels', 'sysctls', 'unified']);

function plainMember(name: string, value: unknown): unknown {
  switch (typeof value) {
    case 'string':
      return value === '' ? undefined : value;
    case 'number':
      return value === 0 ? undefined : value;
    case 'bigint':
      return value === 0n ? undefined : value;
    case 'boolean':
      return value ? true : undefined;
    case 'object':
      if (value === null) return undefined;
      if (Array.isArray(value)) return value.length === 0 ? undefined : value.map(plainElement);
      if (GO_MAP_FIELDS.has(name)) return Object.keys(value).length === 0 ? undefined : sortKeys(value);
      if (value instanceof Uint8Array) return value.length === 0 ? undefined : plainElement(value);
      return toGoJson(value);
    default:
      return undefined;
  }
}

/** Keeps an empty element: Go leaves out empty fields, but never elements of an array. */
function plainElement(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  return typeof value === 'object' && value !== null ? toGoJson(value) : value;
}

/** runtime.v1.KeyValue is the only message with its own marshaller in Go, which writes its bytes as a string. */
const isKeyValue = (message: object): message is { key: string; value: Uint8Array } =>
  'key' in message && 'value' in message && message.value instanceof Uint8Array;

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([key, member]) => [key, sortKeys(member)]));
}
