import type { Any as WireAny } from '../../generated/google/protobuf/any.js';
import type { Any } from './containerd.js';

/** Type URL of an OCI runtime spec (`config.json`) as containerd stores it: JSON, not protobuf. */
export const SPEC_TYPE_URL = 'types.containerd.io/opencontainers/runtime-spec/1/Spec';
/** Type URL of an OCI process, for `tasks.exec`. */
export const PROCESS_TYPE_URL = 'types.containerd.io/opencontainers/runtime-spec/1/Process';
/** Type URL of OCI Linux resources, for `tasks.update`. */
export const RESOURCES_TYPE_URL = 'types.containerd.io/opencontainers/runtime-spec/1/LinuxResources';

/** An Any of an encoded protobuf message. containerd's type URLs are the bare message names, without a prefix. */
export const anyOf = (typeUrl: string, message: Uint8Array): Any => ({ type_url: typeUrl, value: message });

/** An Any that holds `value` as JSON, as containerd's typeurl package does for types that are not protobuf. */
export const jsonAny = (typeUrl: string, value: unknown): Any =>
  anyOf(typeUrl, new TextEncoder().encode(JSON.stringify(value)));

/** Converts to the form of the generated codecs, which accept only Buffer. The bytes are shared, not copied. */
export function wireAny(any: Any): WireAny;
export function wireAny(any: Any | undefined): WireAny | undefined;
export function wireAny(any: Any | undefined): WireAny | undefined {
  if (any === undefined) return undefined;
  const { buffer, byteOffset, byteLength } = any.value;
  return { type_url: any.type_url, value: Buffer.from(buffer, byteOffset, byteLength) };
}

export const wireAnys = (anys: Readonly<Record<string, Any>>): Record<string, WireAny> =>
  Object.fromEntries(Object.entries(anys).map(([key, any]) => [key, wireAny(any)]));
