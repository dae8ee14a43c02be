import type { KeyValue } from '../../../generated/runtime/v1/api.js';
import { invalidArgument } from '../../base/errors.js';
import { checkNoControl } from './text-checks.js';

/** MAX_ARG_STRLEN, 32 pages: exec(2) refuses a longer `NAME=value`. A page may have 64 KiB except on x86. */
const PAGE_BYTES = process.arch === 'x64' ? 4096 : 65_536;
const MAX_LINE_BYTES = 32 * PAGE_BYTES - 1;

/**
 * INVALID_ARGUMENT for a name that is empty, or contains `=` or a control character (CVE-2022-4318), for a value that
 * is not UTF-8, and for an entry that is too long for exec(2).
 */
export function checkEnvs(envs: readonly KeyValue[], field: string): void {
  for (const [index, { key, value }] of envs.entries()) {
    const where = `${field}[${index}]`;
    if (key === '') throw invalidArgument(`${where}.key`, 'must not be empty');
    if (key.includes('=')) throw invalidArgument(`${where}.key`, `"${key}" contains "="`);
    checkNoControl(key, `${where}.key`);
    if (!isUtf8(value)) throw invalidArgument(`${where}.value`, 'is not UTF-8, so an OCI spec cannot contain it');
    const bytes = Buffer.byteLength(key) + 1 + value.length;
    if (bytes > MAX_LINE_BYTES) throw invalidArgument(where, `${bytes} bytes, more than ${MAX_LINE_BYTES}`);
  }
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}
