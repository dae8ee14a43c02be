import type { ContainerConfig } from '../../generated/runtime/v1/api.js';
import { invalidArgument } from '../base/errors.js';

/** Limit of a label's key and value together, in bytes. containerd refuses longer labels. */
export const MAX_LABEL_BYTES = 4096;

/**
 * The labels of a container's record: only those of the request. LABELs of the image are not copied: plugins of
 * containerd act on labels, and an image's author must not control plugins (CVE-2026-53488).
 */
export const containerLabels = (config: Pick<ContainerConfig, 'labels'>): Record<string, string> => ({
  ...config.labels,
});

/** INVALID_ARGUMENT for a label that containerd would refuse, or whose key is reserved for containerd. */
export function checkLabels(labels: Readonly<Record<string, string>>, field: string): void {
  for (const [key, value] of Object.entries(labels)) {
    const where = `${field}[${JSON.stringify(key.slice(0, 64))}]`;
    if (key === '') throw invalidArgument(field, 'contains an empty key');
    const bytes = Buffer.byteLength(key) + Buffer.byteLength(value);
    if (bytes > MAX_LABEL_BYTES)
      throw invalidArgument(where, `key and value are ${bytes} bytes, more than ${MAX_LABEL_BYTES}`);
    if (RESERVED.test(key)) throw invalidArgument(where, 'is reserved for containerd');
  }
}

const RESERVED = /^(containerd\.io\/|io\.cri-containerd\.)/;
