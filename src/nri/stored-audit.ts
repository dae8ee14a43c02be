import type { Any } from '../containerd/containerd.js';
import type { Changes } from './adjust/audit.js';

/** The extension of a container's record that says what plugins changed in it. */
const EXTENSION = 'io.crid.nri.adjustments';
const TYPE_URL = 'io.crid/nri/Adjustments';

/** Returns the extension as an entry of a record; none if no plugin changed anything. */
export const auditExtension = (audit: readonly Changes[]): Record<string, Any> =>
  audit.length === 0
    ? {}
    : { [EXTENSION]: { type_url: TYPE_URL, value: Buffer.from(JSON.stringify({ version: 1, adjustments: audit })) } };

/** Returns what is stored; nothing for a record without the extension, or with one that cannot be read. */
export function storedAudit(extensions: Readonly<Record<string, Any>>): readonly Changes[] {
  const stored = extensions[EXTENSION];
  if (!stored) return [];
  try {
    return (JSON.parse(Buffer.from(stored.value).toString()) as { adjustments?: Changes[] }).adjustments ?? [];
  } catch {
    return [];
  }
}
