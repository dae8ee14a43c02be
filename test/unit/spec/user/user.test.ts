import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SupplementalGroupsPolicy } from '../../../../generated/runtime/v1/api.js';
import { scanGroup, scanPasswd } from '../../../../src/spec/user/accounts.js';
import { needsUserLookup, resolveUser, type UserRequest } from '../../../../src/spec/user/user.js';
import { refusal } from '../inputs.js';

const PASSWD = 'root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1001:Alice:/home/alice:/bin/sh\n';
const GROUP = 'root:x:0:\nwheel:x:10:alice,bob,root\nstaff:x:50:alice\nalice:x:1001:alice\nnumbers:x:77:1000\n';

const request = (input: Partial<UserRequest> = {}): UserRequest => ({
  username: '',
  uid: undefined,
  gid: undefined,
  imageUser: '',
  passwd: PASSWD,
  group: GROUP,
  supplementalGroups: [],
  policy: SupplementalGroupsPolicy.Merge,
  ...input,
});
const ids = (input: Partial<UserRequest>): unknown[] => {
  const { uid, gid, additionalGids } = resolveUser(request(input));
  return [uid, gid, additionalGids];
};
const strict = SupplementalGroupsPolicy.Strict;

test('user: the name comes before the uid, the uid before the USER of the image', () => {
  assert.deepEqual(
    [
      ids({ username: 'alice', uid: 7n, imageUser: 'root', policy: strict }),
      ids({ uid: 7n, imageUser: 'alice', policy: strict }),
      ids({ imageUser: 'alice', policy: strict }),
      ids({ policy: strict }),
    ],
    [
      [1000, 1001, [1001]],
      [7, 0, [0]],
      [1000, 1001, [1001]],
      [0, 0, [0]],
    ],
  );
});

test('user: every form of USER', () => {
  const forms = ['1000', '4242', 'alice:wheel', '1000:50', '1000:wheel', 'alice:60', ':50', 'alice:'];
  assert.deepEqual(
    forms.map((imageUser) => ids({ imageUser, policy: strict })),
    [
      [1000, 1001, [1001]],
      [4242, 0, [0]],
      [1000, 10, [10]],
      [1000, 50, [50]],
      [1000, 10, [10]],
      [1000, 60, [60]],
      [0, 50, [50]],
      [1000, 0, [0]],
    ],
  );
});

test('user: Merge adds the memberships in /etc/group, Strict only what the request lists', () => {
  const supplementalGroups = [3000n, 50n, 3000n];
  assert.deepEqual(
    [
      ids({ uid: 1000n, supplementalGroups }),
      ids({ uid: 1000n, supplementalGroups, policy: strict }),
      ids({ uid: 1000n, gid: 2000n }),
      ids({}),
      ids({ uid: 4242n, passwd: undefined, group: undefined }),
    ],
    [
      [1000, 1001, [1001, 10, 50, 3000]],
      [1000, 1001, [1001, 50, 3000]],
      [1000, 2000, [2000, 10, 50]],
      [0, 0, [0, 10]],
      [4242, 0, [0]],
    ],
  );
});

test('user: a group without a user, unknown names and malformed USERs are refused by name', () => {
  assert.deepEqual(
    [
      refusal(() => resolveUser(request({ gid: 5n }))),
      refusal(() => resolveUser(request({ username: 'mallory' }))),
      refusal(() => resolveUser(request({ imageUser: 'alice:nobody' }))),
      refusal(() => resolveUser(request({ imageUser: 'a:b:c' }))),
    ],
    [
      'INVALID_ARGUMENT config.linux.security_context.run_as_group: group 5 is given without a user',
      'NOT_FOUND config.linux.security_context.run_as_username: user "mallory" is not in the image\'s /etc/passwd',
      'NOT_FOUND USER "alice:nobody" of the image: group "nobody" is not in the image\'s /etc/group',
      'INVALID_ARGUMENT USER "a:b:c" of the image: contains more than one ":"',
    ],
  );
});

test('user: the rootfs has to be read unless both ids are numbers and nothing is merged', () => {
  const asked = (input: Partial<UserRequest>): boolean => needsUserLookup(request(input));
  assert.deepEqual(
    [
      asked({ uid: 1n, gid: 1n, policy: strict }),
      asked({ imageUser: '1:1', policy: strict }),
      asked({ uid: 1n, gid: 1n }),
      asked({ uid: 1n, policy: strict }),
      asked({ username: 'alice', gid: 1n, policy: strict }),
      asked({ imageUser: '1:wheel', policy: strict }),
    ],
    [false, false, true, true, true, true],
  );
});

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const passwd = (text: string, wanted: Parameters<typeof scanPasswd>[0], piece = text.length) => {
  const scan = scanPasswd(wanted);
  for (let at = 0; at < text.length; at += piece) scan.take(bytes(text.slice(at, at + piece)));
  return scan.end();
};
const group = (text: string, wanted: Parameters<typeof scanGroup>[0], piece = text.length) => {
  const scan = scanGroup(wanted);
  for (let at = 0; at < text.length; at += piece) scan.take(bytes(text.slice(at, at + piece)));
  return scan.end();
};

test('passwd and group: comments, short lines and lines without numbers are skipped, wherever a piece ends', () => {
  const users = '#x:x:1:1\n\na:x:1:2:::\nb:x\nc:x:-1:0\n:x:3:3\r\n  d:x:4: 5 \ne:x:1:9\na:x:7:7';
  const groups = 'a:x:1:x, y ,\nb:x:no:x\n#c:x:3:x\nc:x:2\nx:x:9:x\nd:x:4:xx,x,x\nc:x:8:y';
  for (const piece of [1, 7, 1_000]) {
    assert.deepEqual(
      [
        passwd(users, { name: 'a' }, piece),
        passwd(users, { uid: 1 }, piece),
        passwd(users, { name: 'd' }, piece),
        ...['b', 'c', '', '#x', 'x'].map((name) => passwd(users, { name }, piece)),
        group(groups, { name: 'c', member: 'x' }, piece),
        group(groups, { name: 'b', member: 'y' }, piece),
        group(groups, {}, piece),
      ],
      [
        { name: 'a', uid: 1, gid: 2 },
        { name: 'a', uid: 1, gid: 2 },
        { name: 'd', uid: 4, gid: 5 },
        ...[undefined, undefined, undefined, undefined, undefined],
        { gid: 2, memberOf: [1, 4] },
        { gid: undefined, memberOf: [1, 8] },
        { gid: undefined, memberOf: [] },
      ],
      `pieces of ${piece}`,
    );
  }
});

test('passwd and group: names of up to 4,096 bytes are found, and up to 65,536 groups accepted', () => {
  const name = (length: number): string => 'n'.repeat(length);
  const line = (length: number): string => `${name(length)}:x:1:2::/:\n`;
  const groups = (count: number): string =>
    Array.from({ length: count }, (_, id) => `g${id}:x:${id + 10}:u\n`).join('');
  const all = (count: number) => ids({ imageUser: 'u:5', passwd: 'u:x:1:2', group: groups(count) });
  assert.deepEqual(
    [passwd(line(4_096), { name: name(4_096) })?.uid, passwd(line(4_097), { name: name(4_097) })?.uid],
    [1, undefined],
  );
  assert.equal((all(65_535)[2] as number[]).length, 65_536);
  assert.equal(
    refusal(() => all(65_536)),
    'RESOURCE_EXHAUSTED user "u" is in more than the 65536 groups that a process can have',
  );
});
