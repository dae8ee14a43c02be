import type { Rootfs } from '../host/files/rootfs.js';
import { startUserLookup, type UserRequest } from '../spec/user/user.js';
import type { ResolvedUser } from '../spec/types.js';

/** The account files of a rootfs, each undefined when it is missing. */
export interface Accounts {
  readonly passwd: Uint8Array | undefined;
  readonly group: Uint8Array | undefined;
}

/**
 * Account files by the chain id of their image. The rootfs of a new container has only the layers of its image, so it
 * need not be mounted again to read the same two files.
 */
export interface AccountCache {
  of(chainId: string): Accounts | undefined;
  /** Keeps the files; forgets the oldest ones beyond `MAX_KEPT` images. */
  keep(chainId: string, accounts: Accounts): void;
}

export function createAccountCache(): AccountCache {
  const kept = new Map<string, Accounts>();
  return {
    of: (chainId) => kept.get(chainId),
    keep(chainId, accounts) {
      kept.set(chainId, accounts);
      const [oldest] = kept.keys();
      if (kept.size > MAX_KEPT && oldest !== undefined) kept.delete(oldest);
    },
  };
}

const MAX_KEPT = 128;

type Request = Omit<UserRequest, 'passwd' | 'group'>;

/** Resolves the user from account files in memory. */
export function userFrom({ passwd, group }: Accounts, request: Request): ResolvedUser {
  const lookup = startUserLookup(request);
  if (passwd) lookup.takePasswd(passwd);
  if (group) lookup.takeGroup(group);
  return lookup.result();
}

/**
 * Resolves the user from the account files of a rootfs. They may have any size, so each is read once, and only a piece
 * of it is in memory. `accounts` are the files, or undefined when one is larger than `MAX_KEPT_BYTES`.
 */
export async function readUser(
  rootfs: Pick<Rootfs, 'readFile'>,
  request: Request,
  signal?: AbortSignal,
): Promise<{ user: ResolvedUser; accounts: Accounts | undefined }> {
  const lookup = startUserLookup(request);
  const passwd = await readKept(rootfs, '/etc/passwd', lookup.takePasswd, signal);
  const group = await readKept(rootfs, '/etc/group', lookup.takeGroup, signal);
  const accounts = passwd === 'too large' || group === 'too large' ? undefined : { passwd, group };
  return { user: lookup.result(), accounts };
}

const MAX_KEPT_BYTES = 32 * 1024;

async function readKept(
  rootfs: Pick<Rootfs, 'readFile'>,
  path: string,
  take: (bytes: Uint8Array) => boolean,
  signal: AbortSignal | undefined,
): Promise<Uint8Array | 'too large' | undefined> {
  let kept: Uint8Array | 'too large' | undefined;
  const isThere = await rootfs.readFile(
    path,
    (bytes) => {
      kept = kept === undefined && bytes.length <= MAX_KEPT_BYTES ? bytes.slice() : 'too large';
      return take(bytes) || kept !== 'too large';
    },
    signal,
  );
  return isThere ? (kept ?? new Uint8Array()) : undefined;
}
