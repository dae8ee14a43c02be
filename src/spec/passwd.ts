/** A line of /etc/passwd (passwd(5)): only what identities are made of. */
export interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** A line of /etc/group (group(5)). */
export interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

/** The entries of an /etc/passwd; what is not a whole line with numeric ids is left out, as the C library does. */
export const parsePasswd = (content: string | undefined): PasswdEntry[] =>
  linesOf(content).flatMap((line) => {
    const [name, , uid, gid] = line.split(':');
    return isName(name) && isId(uid) && isId(gid) ? [{ name, uid: Number(uid), gid: Number(gid) }] : [];
  });

/** The entries of an /etc/group; what is not a whole line with a numeric id is left out. */
export const parseGroup = (content: string | undefined): GroupEntry[] =>
  linesOf(content).flatMap((line) => {
    const [name, , gid, members = ''] = line.split(':');
    if (!isName(name) || !isId(gid)) return [];
    const names = members.split(',').map((member) => member.trim());
    return [{ name, gid: Number(gid), members: names.filter((member) => member !== '') }];
  });

const linesOf = (content: string | undefined): string[] =>
  (content ?? '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));

const isName = (text: string | undefined): text is string => text !== undefined && text !== '';

const isId = (text: string | undefined): text is string => text !== undefined && /^\d{1,10}$/.test(text.trim());
