import { CriError } from '../base/errors.js';
import type { Any, ContainerRecord, SandboxRecord } from './containerd.js';

/**
 * The size limit of a record when crid writes it. containerd stores larger records, but cannot send one of more than 16
 * MiB. The difference is for later additions: a status, an address.
 */
export const MAX_RECORD_BYTES = 12 << 20;

type Sized = Partial<Pick<ContainerRecord & SandboxRecord, 'labels' | 'spec' | 'extensions'>> & { readonly id: string };

/** RESOURCE_EXHAUSTED if a record is too large; it lists the parts, largest first. `kind`: such as `container`. */
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
