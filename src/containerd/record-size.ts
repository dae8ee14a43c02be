import { CriError } from '../base/errors.js';
import type { Any, ContainerRecord, SandboxRecord } from './containerd.js';

/**
 * What one record may have when it is written. containerd stores more, but cannot send a record of more than 16 MiB any
 * more; the rest is for what is added later: a status, an address.
 */
export const MAX_RECORD_BYTES = 12 << 20;

type Sized = Partial<Pick<ContainerRecord & SandboxRecord, 'labels' | 'spec' | 'extensions'>> & { readonly id: string };

/** RESOURCE_EXHAUSTED with the parts of a record that is too large, largest first. `kind`: `container`. */
export function checkRecordSize(kind: string, { id, labels = {}, spec, extensions = {} }: Sized): void {
  const parts = [
    { name: 'labels', bytes: labelBytes(labels) },
    { name: 'spec', bytes: anyBytes(spec) },
    ...Object.entries(extensions).map(([name, any]) => ({ name, bytes: anyBytes(any) })),
  ].sort((one, other) => other.bytes - one.bytes);
  const total = parts.reduce((sum, { bytes }) => sum + bytes, 0);
  if (total <= MAX_RECORD_BYTES) return;
  const listed = parts.filter(({ bytes }) => bytes > 0).map(({ name, bytes }) => `${name} ${bytes}`);
  throw new CriError(
    'RESOURCE_EXHAUSTED',
    `record of ${kind} "${id}": ${total} bytes, more than ${MAX_RECORD_BYTES}: ${listed.join(', ')}`,
  );
}

const anyBytes = (any: Any | undefined): number => any?.value.length ?? 0;

const labelBytes = (labels: Readonly<Record<string, string>>): number =>
  Object.entries(labels).reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value), 0);
