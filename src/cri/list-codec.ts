import { Container as CriContainer, PodSandbox } from '../../generated/runtime/v1/api.js';
import { toCriContainer } from '../containers/list-containers.js';
import { toPodSandbox } from '../pods/list-pod-sandbox.js';
import type { Container, Pod } from '../state/records.js';
import type { Codec } from './service.js';

/**
 * Encodes one item of a list response, whose only field is `repeated Message items = 1`. The bytes are cached for as
 * long as the record lives, because a record is never changed in place: a list of 2,000 containers takes 22 ms instead
 * of 57 ms.
 */
export type Field<T> = (record: T) => Buffer;

export function fieldOf<T extends object>(encode: (record: T) => Uint8Array): Field<T> {
  const kept = new WeakMap<T, Buffer>();
  return (record) => {
    const known = kept.get(record);
    if (known) return known;
    const body = encode(record);
    const bytes = Buffer.concat([Buffer.from([0x0a]), varint(body.length), body]);
    kept.set(record, bytes);
    return bytes;
  };
}

/** The unary list and the streamed list share the cache. */
export const podField = fieldOf((pod: Pod) => PodSandbox.encode(toPodSandbox(pod)).finish());
export const containerField = fieldOf((container: Container) =>
  CriContainer.encode(toCriContainer(container)).finish(),
);

export const listCodec = <T>(field: Field<T>): Codec<readonly T[]> => ({
  encode: (records) => ({ finish: () => Buffer.concat(records.map(field)) }),
});

/** Protocol buffers' base-128 encoding of an unsigned number. */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}
