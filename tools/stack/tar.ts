/** An entry of a layer. Names are relative, without a leading slash, at most 100 bytes long. */
export interface TarEntry {
  readonly name: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** A regular file's content, a link's target, a character device's numbers, a FIFO, or nothing for a directory. */
  readonly body?:
    | Uint8Array
    | { readonly hard: string }
    | { readonly symbolic: string }
    | { readonly device: readonly [major: number, minor: number] }
    | 'fifo';
}

const BLOCK_BYTES = 512;
const MAX_NAME_BYTES = 100;

/** A POSIX ustar archive (pax(1), "ustar Interchange Format"). All times are zero: equal entries give equal bytes. */
export function tar(entries: readonly TarEntry[]): Buffer {
  const blocks: Uint8Array[] = [];
  for (const entry of entries) {
    blocks.push(header(entry));
    if (entry.body instanceof Uint8Array) {
      blocks.push(entry.body, Buffer.alloc((BLOCK_BYTES - (entry.body.length % BLOCK_BYTES)) % BLOCK_BYTES));
    }
  }
  blocks.push(Buffer.alloc(2 * BLOCK_BYTES));
  return Buffer.concat(blocks);
}

function header({ name, mode, uid = 0, gid = 0, body }: TarEntry): Buffer {
  const [type, link, size] = kind(body);
  const block = Buffer.alloc(BLOCK_BYTES);
  for (const text of [name, link]) {
    if (Buffer.byteLength(text) > MAX_NAME_BYTES) throw new Error(`tar: name too long: ${text}`);
  }
  const octal = (value: number, offset: number, digits: number): void => {
    block.write(value.toString(8).padStart(digits, '0'), offset);
  };
  block.write(type === '5' ? `${name}/` : name, 0);
  octal(mode ?? (type === '5' ? 0o755 : 0o644), 100, 7);
  octal(uid, 108, 7);
  octal(gid, 116, 7);
  octal(size, 124, 11);
  octal(0, 136, 11);
  // The checksum counts its own field as spaces.
  block.write(' '.repeat(8), 148);
  block.write(type, 156);
  block.write(link, 157);
  block.write('ustar\u000000', 257, 'latin1');
  if (body !== undefined && body !== 'fifo' && 'device' in body) {
    octal(body.device[0], 329, 7);
    octal(body.device[1], 337, 7);
  }
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

function kind(body: TarEntry['body']): [type: string, link: string, size: number] {
  if (body === undefined) return ['5', '', 0];
  if (body instanceof Uint8Array) return ['0', '', body.length];
  if (body === 'fifo') return ['6', '', 0];
  if ('device' in body) return ['3', '', 0];
  return 'hard' in body ? ['1', body.hard, 0] : ['2', body.symbolic, 0];
}
