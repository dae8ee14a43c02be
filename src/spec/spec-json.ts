import { parse, stringify } from 'lossless-json';
import { PROCESS_TYPE_URL, SPEC_TYPE_URL } from '../containerd/any.js';
import { CriError } from '../base/errors.js';
import type { Any } from '../containerd/containerd.js';
import type { OciProcess, OciSpec } from './oci.js';

/** The JSON forms in which containerd keeps OCI specs and processes; 64-bit numbers stay exact. */

export const specAny = (spec: OciSpec): Any => ({ type_url: SPEC_TYPE_URL, value: Buffer.from(specToJson(spec)) });

export const processAny = (process: OciProcess): Any => ({
  type_url: PROCESS_TYPE_URL,
  value: Buffer.from(specToJson(process)),
});

/** Whole numbers that a double cannot hold come as bigints. INTERNAL when it is no JSON. */
export function parseSpec(any: Any): OciSpec {
  try {
    return parse(Buffer.from(any.value).toString('utf8'), undefined, parseNumber) as OciSpec;
  } catch (thrown) {
    throw new CriError('INTERNAL', `spec of type "${any.type_url}" is not JSON: ${(thrown as Error).message}`);
  }
}

export const specToJson = (value: OciSpec | OciProcess): string => stringify(value) ?? '{}';

function parseNumber(text: string): number | bigint {
  const value = Number(text);
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? BigInt(text) : value;
}
