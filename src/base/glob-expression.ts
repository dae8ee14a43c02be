/**
 * Converts a pattern of Go's path.Match: `*` and `?` stop at `/`; `[a-z]`, `[^a]`, `\x`. Undefined when malformed.
 */
export function globExpression(pattern: string): RegExp | undefined {
  const isMalformed = /[[\\]/.test(pattern.replaceAll(ESCAPES_AND_SETS, ''));
  const source = pattern.replaceAll(
    /\\(.)|\[(\^?)((?:\\.|[^\]\\])+)\]|([*?])|(.)/gsu,
    (_, ...groups: (string | undefined)[]) => {
      const [escaped, not, set, wild, plain] = groups;
      if (set !== undefined) return `[${not}${members(set)}]`;
      if (wild !== undefined) return wild === '*' ? '[^/]*' : '[^/]';
      return quoted(escaped ?? plain ?? '');
    },
  );
  try {
    return isMalformed ? undefined : new RegExp(`^${source}$`, 'su');
  } catch {
    return undefined;
  }
}

const ESCAPES_AND_SETS = /\\.|\[(?:\\.|[^\]\\])+\]/gsu;

/** Converts the characters of a set. An escaped `-` is a member; any other makes a range. */
const members = (set: string): string =>
  set.replaceAll(/\\(.)|(.)/gsu, (_, escaped: string | undefined, plain: string | undefined) =>
    escaped === '-' ? '\\-' : quoted(escaped ?? plain ?? ''),
  );

const quoted = (character: string): string => character.replace(/[.*+?^${}()|[\]\\/]/, '\\$&');
