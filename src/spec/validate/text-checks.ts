import { invalidArgument } from '../../base/errors.js';

/** Checks of strings in a request. Each throws INVALID_ARGUMENT with the field's path. */

/**
 * Refuses a NUL byte in any string of a message, map keys included: the kernel would truncate a path or a value there.
 * Annotations are not checked: they are free text that the kernel never sees.
 */
export function checkNoNul(message: unknown, field: string): void {
  if (typeof message === 'string') {
    if (message.includes('\0')) throw invalidArgument(field, 'contains a NUL byte');
  } else if (message instanceof Uint8Array) {
    if (message.includes(0)) throw invalidArgument(field, 'contains a NUL byte');
  } else if (Array.isArray(message)) {
    for (const [index, element] of message.entries()) checkNoNul(element, `${field}[${index}]`);
  } else if (typeof message === 'object' && message !== null) {
    for (const [key, value] of Object.entries(message)) {
      checkNoNul(key, `key of ${field}`);
      if (key !== 'annotations') checkNoNul(value, `${field}.${key}`);
    }
  }
}

export function checkNoControl(text: string, field: string): void {
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(text)) throw invalidArgument(field, 'contains a control character');
}

/** Refuses a line break, which would add a line to a line-based file. */
export function checkOneLine(text: string, field: string): void {
  if (/[\n\r]/.test(text)) throw invalidArgument(field, 'contains a line break');
}

/** The path may contain `..`: the kernel or the runtime resolves it, on the host or inside the container. */
export function checkAbsolutePath(path: string, field: string): void {
  if (!path.startsWith('/')) throw invalidArgument(field, `"${path}" is not an absolute path`);
}

export function checkNoClimb(path: string, field: string): void {
  if (path.split('/').includes('..')) throw invalidArgument(field, `"${path}" contains ".."`);
}

/** `values` is the enum's object, which maps numbers to names. ts-proto adds -1 for unknown values. */
export function checkEnum(value: number, values: Readonly<Record<number, string>>, field: string): void {
  if (value < 0 || values[value] === undefined) throw invalidArgument(field, `unknown value ${value}`);
}

export function checkRange(value: bigint | number, lowest: number, highest: number, field: string): void {
  if (value < lowest || value > highest) {
    throw invalidArgument(field, `expected ${lowest} to ${highest}, received ${value}`);
  }
}

/** Kubernetes allows 256 KiB for a pod's annotations, to which the kubelet adds a few. */
const MAX_ANNOTATION_BYTES = 512 * 1024;

export function checkAnnotations(annotations: Readonly<Record<string, string>>, field: string): void {
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations)) {
    if (key === '') throw invalidArgument(field, 'contains an empty key');
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (bytes > MAX_ANNOTATION_BYTES) {
    throw invalidArgument(field, `${bytes} bytes in total, more than ${MAX_ANNOTATION_BYTES}`);
  }
}
