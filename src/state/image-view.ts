import { isDigest, tryParseReference } from './image-reference.js';

/** Sorts the names of an image's records for CRI: tags, then digests, then bare ids, each alphabetically. */
export function viewOf(names: readonly string[]): { references: string[]; repoTags: string[]; repoDigests: string[] } {
  const parsed = names.map((name) => ({ name, reference: isDigest(name) ? undefined : tryParseReference(name) }));
  const rank = ({ reference }: (typeof parsed)[number]): number => {
    if (!reference) return 2;
    return reference.tag === undefined ? 1 : 0;
  };
  parsed.sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
  return {
    references: parsed.map(({ name }) => name),
    repoTags: parsed.flatMap(({ reference }) => (reference?.tag !== undefined ? [reference.text] : [])),
    repoDigests: parsed.flatMap(({ reference }) => (reference?.digest !== undefined ? [reference.text] : [])),
  };
}

const MAX_INT64 = 2n ** 63n - 1n;

/**
 * Returns the user in a USER such as `1000:1000` or `www-data`: a uid if it is an int64, else a name, which may be "".
 */
export function userOf(user: string): { uid?: bigint; username: string } {
  const name = user.split(':')[0] ?? '';
  if (!/^[+-]?\d+$/.test(name)) return { username: name };
  const uid = BigInt(name.replace(/^\+/, ''));
  return uid <= MAX_INT64 && uid >= -MAX_INT64 - 1n ? { uid, username: '' } : { username: name };
}
