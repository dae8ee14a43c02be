import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isCode } from '../../../../src/base/errors.js';
import type { OciSeccomp, OciSyscall, OciSyscallArg } from '../../../../src/spec/oci.js';
import { defaultSeccompProfile } from '../../../../src/spec/security/seccomp-default.js';
import { intersectSeccomp } from '../../../../src/spec/security/seccomp-intersection.js';
import { strictness } from '../../../../src/spec/security/seccomp-outcome.js';
import { createWork } from '../../../../src/spec/security/seccomp-work.js';

const ALLOW = 'SCMP_ACT_ALLOW';
const ERRNO = 'SCMP_ACT_ERRNO';
const ACTIONS = [
  ...[ALLOW, 'SCMP_ACT_LOG', 'SCMP_ACT_TRACE', 'SCMP_ACT_NOTIFY', ERRNO, 'SCMP_ACT_TRAP'],
  ...['SCMP_ACT_KILL_THREAD', 'SCMP_ACT_KILL_PROCESS'],
];
const MAX = (1n << 64n) - 1n;

const rule = (names: string, action: string, more: Partial<OciSyscall> = {}): OciSyscall => ({
  names: names.split(' '),
  action,
  ...more,
});
const when = (op: string, value: number | bigint, valueTwo?: number | bigint, index = 0): OciSyscallArg => ({
  index,
  value,
  op: `SCMP_CMP_${op}`,
  ...(valueTwo !== undefined && { valueTwo }),
});
const allowing = (...syscalls: OciSyscall[]): OciSeccomp => ({ defaultAction: ERRNO, syscalls });
const refusing = (...syscalls: OciSyscall[]): OciSeccomp => ({ defaultAction: ALLOW, syscalls });

/** The conditions as the kernel evaluates them, apart from the code under test. */
function holds({ index, value, valueTwo = 0, op }: OciSyscallArg, args: readonly bigint[]): boolean {
  const [arg, one, two] = [args[index] ?? 0n, BigInt(value), BigInt(valueTwo)];
  const comparisons: Record<string, boolean> = {
    SCMP_CMP_EQ: arg === one,
    SCMP_CMP_NE: arg !== one,
    SCMP_CMP_LT: arg < one,
    SCMP_CMP_LE: arg <= one,
    SCMP_CMP_GT: arg > one,
    SCMP_CMP_GE: arg >= one,
    SCMP_CMP_MASKED_EQ: (arg & one) === (two & one),
  };
  return comparisons[op] ?? assert.fail(op);
}

/** Actions of all rules that match, or the default action. Conditions on one argument are alternatives, as in runc. */
function actionsOf({ defaultAction, syscalls = [] }: OciSeccomp, name: string, args: readonly bigint[]): string[] {
  const matching = syscalls.filter(({ names, args: conditions = [] }) => {
    if (!names.includes(name)) return false;
    const isTwice = new Set(conditions.map(({ index }) => index)).size < conditions.length;
    return conditions[isTwice ? 'some' : 'every']((condition) => holds(condition, args));
  });
  return matching.length === 0 ? [defaultAction] : matching.map(({ action }) => action);
}

const strictest = (actions: readonly string[]): number => Math.max(...actions.map((action) => strictness({ action })));

/** A small generator with a seed, so that a failure can be repeated. */
function random(seed: number) {
  let state = seed;
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  return { below, of: <T>(list: readonly T[]): T => list[below(list.length)]! };
}

const VALUES = [0n, 1n, 2n, 3n, 5n, 38n, 40n, 0x7e020000n, 0xffffffffn, 1n << 40n, MAX - 1n, MAX];
const PROBES = [...new Set(VALUES.flatMap((value) => [value - 1n, value, value + 1n]))].filter(
  (value) => value >= 0n && value <= MAX,
);

function randomProfile({ below, of }: ReturnType<typeof random>): OciSeccomp {
  const condition = (): OciSyscallArg => {
    const op = of(['EQ', 'NE', 'LT', 'LE', 'GT', 'GE', 'MASKED_EQ']);
    if (op !== 'MASKED_EQ') return when(op, of(VALUES), undefined, below(2));
    const mask = of([1n, 3n, 0x7e020000n, 0xffn]);
    return when(op, mask, of(VALUES), below(2));
  };
  const rules = Array.from({ length: below(5) }, () =>
    rule(of(['read', 'write', 'read write']), of(ACTIONS), {
      ...(below(2) === 0 && { args: Array.from({ length: 1 + below(2) }, condition) }),
    }),
  );
  return { defaultAction: of(ACTIONS), syscalls: rules };
}

test('for every call the result has the stricter action of both filters, and no rules that contradict', () => {
  let expressible = 0;
  for (let seed = 1; seed <= 1500; seed++) {
    const chance = random(seed);
    const [profile, base] = [randomProfile(chance), randomProfile(chance)];
    let result: OciSeccomp;
    try {
      result = intersectSeccomp(profile, base);
    } catch (thrown) {
      assert.ok(isCode(thrown, 'FAILED_PRECONDITION'), `seed ${seed}: ${String(thrown)}`);
      continue;
    }
    expressible++;
    for (const name of ['read', 'write', 'other']) {
      for (const first of PROBES) {
        for (const second of [0n, 1n, 4n, chance.of(PROBES)]) {
          const args = [first, second];
          const wanted = strictest([...actionsOf(profile, name, args), ...actionsOf(base, name, args)]);
          const got = new Set(actionsOf(result, name, args).map((action) => strictness({ action })));
          assert.deepEqual([...got], [wanted], `seed ${seed}: ${name}(${args.join(', ')})`);
        }
      }
    }
  }
  assert.ok(expressible > 1000, `${expressible} of 1500 pairs can be expressed`);
});

test('each pair of actions gives the stricter one, in the order of the kernel', () => {
  for (const [at, weak] of ACTIONS.entries()) {
    for (const strong of ACTIONS.slice(at)) {
      const [a, b] = [{ defaultAction: weak }, { defaultAction: strong }];
      assert.deepEqual([intersectSeccomp(a, b).defaultAction, intersectSeccomp(b, a).defaultAction], [strong, strong]);
      const rules = intersectSeccomp(refusing(rule('read', weak)), refusing(rule('read', strong))).syscalls;
      assert.deepEqual(rules, strong === ALLOW ? [] : [rule('read', strong)]);
    }
  }
  assert.throws(() => intersectSeccomp({ defaultAction: 'SCMP_ACT_NEW' }, refusing()), {
    code: 'INVALID_ARGUMENT',
    message: 'unknown action "SCMP_ACT_NEW"',
  });
});

test('a list of allowed calls and a list of refused calls', () => {
  assert.deepEqual(
    intersectSeccomp(refusing(rule('chmod fchmod', ERRNO, { errnoRet: 38 })), allowing(rule('read chmod', ALLOW))),
    {
      defaultAction: ERRNO,
      syscalls: [
        rule('chmod', ERRNO, { errnoRet: 38 }),
        rule('fchmod', ERRNO, { errnoRet: 38 }),
        rule('read', ALLOW),
      ].reduce<OciSyscall[]>((all, each) => {
        const same = all.find(({ action, errnoRet }) => action === each.action && errnoRet === each.errnoRet);
        if (same) same.names.push(...each.names);
        else all.push(each);
        return all;
      }, []),
    },
  );
});

test('conditions on one argument become one condition, a list of values, or masks', () => {
  const argsOf = (a: OciSyscallArg, b: OciSyscallArg): unknown =>
    intersectSeccomp(
      allowing(rule('read', ALLOW, { args: [a] })),
      allowing(rule('read', ALLOW, { args: [b] })),
    ).syscalls?.map(({ args }) =>
      args?.map(({ op, value, valueTwo }) => [op.slice(9), value, valueTwo].filter((x) => x !== undefined)),
    );
  assert.deepEqual(
    [
      argsOf(when('LT', 38), when('NE', 40)),
      argsOf(when('GE', 2), when('GE', 5)),
      argsOf(when('EQ', 3), when('MASKED_EQ', 1, 1)),
      argsOf(when('EQ', 2), when('MASKED_EQ', 1, 1)),
      argsOf(when('MASKED_EQ', 4, 4), when('MASKED_EQ', 3, 1)),
      argsOf(when('GE', 2), when('LT', 5)),
      argsOf(when('GE', 0), when('MASKED_EQ', 0xff, 0)),
      argsOf(when('GE', 128), when('LT', 512)),
    ],
    [
      [[['LE', 37]]],
      [[['GE', 5]]],
      [[['EQ', 3]]],
      [],
      [[['MASKED_EQ', 7, 5]]],
      [[['EQ', 2]], [['EQ', 3]], [['EQ', 4]]],
      [[['MASKED_EQ', 255, 0]]],
      [[['MASKED_EQ', MAX - 127n, 128]], [['MASKED_EQ', MAX - 255n, 256]]],
    ],
  );
});

test('what one filter cannot express is refused, with the name of the system call', () => {
  const masked = allowing(rule('mmap', ALLOW, { args: [when('MASKED_EQ', 4, 0)] }));
  const ranged = allowing(rule('mmap', ALLOW, { args: [when('GE', 100)] }));
  assert.throws(() => intersectSeccomp(masked, ranged), {
    code: 'FAILED_PRECONDITION',
    message: 'system call "mmap": one filter cannot express a mask and a range of the same argument',
  });
  const high = refusing(rule('mmap', ERRNO, { args: [when('MASKED_EQ', 1n << 40n, 0)] }));
  assert.throws(() => intersectSeccomp(high, allowing(rule('mmap', ALLOW))), /a mask above 32 bits/);
  const many = refusing(...Array.from({ length: 64 }, (_, n) => rule('read', ERRNO, { args: [when('EQ', n * 100)] })));
  assert.ok(intersectSeccomp(many, refusing(rule('read', ERRNO))), 'an unconditional rule needs no combinations');
});

test('rules of a profile that contradict each other: the strictest counts', () => {
  const profile = allowing(
    rule('ioctl', ALLOW),
    rule('ioctl', 'SCMP_ACT_KILL_PROCESS', { args: [when('EQ', 5, undefined, 1)] }),
  );
  const { syscalls } = intersectSeccomp(profile, allowing(rule('ioctl', ALLOW)));
  assert.deepEqual(syscalls, [
    rule('ioctl', 'SCMP_ACT_KILL_PROCESS', { args: [when('EQ', 5, undefined, 1)] }),
    rule('ioctl', ALLOW, { args: [when('NE', 5, undefined, 1)] }),
  ]);
});

test('the number of an error: that of a rule before that of a default, then that of the profile', () => {
  const errnoOf = (profile: OciSeccomp, base: OciSeccomp): unknown => {
    const { syscalls, defaultErrnoRet } = intersectSeccomp(profile, base);
    return [syscalls?.find(({ names }) => names.includes('clone3'))?.errnoRet, defaultErrnoRet];
  };
  const refused = (errnoRet: number) => rule('clone3', ERRNO, { errnoRet });
  assert.deepEqual(
    [
      errnoOf(allowing(), allowing(refused(38))),
      errnoOf(allowing(refused(38)), allowing()),
      errnoOf(allowing(refused(22)), allowing(refused(38))),
      errnoOf({ defaultAction: ERRNO, defaultErrnoRet: 38 }, allowing()),
      errnoOf(allowing(), { defaultAction: ERRNO, defaultErrnoRet: 38, syscalls: [refused(1)] }),
    ],
    [
      [38, undefined],
      [38, undefined],
      [22, undefined],
      [undefined, 38],
      [undefined, undefined],
    ],
  );
});

test('architectures are those of both; without a list only the native one, which the runtime adds', () => {
  const shared = (a: string[] | undefined, b: string[] | undefined): string[] | undefined =>
    intersectSeccomp(
      { ...refusing(), ...(a && { architectures: a }) },
      { ...refusing(), ...(b && { architectures: b }) },
    ).architectures;
  const [x64, x32, arm] = ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X32', 'SCMP_ARCH_ARM'];
  assert.deepEqual(
    [shared([x64, x32], [x64, x32, arm]), shared([x64], undefined), shared(undefined, undefined), shared([arm], [x64])],
    [[x64, x32], undefined, undefined, undefined],
  );
  const multiplexed = [
    'X86',
    'S390',
    'S390X',
    'PPC',
    'PPC64',
    'PPC64LE',
    'MIPS',
    'MIPSEL',
    'M68K',
    'SH',
    'SHEB',
    'NEW',
  ];
  const listed = [x64, ...multiplexed.map((name) => `SCMP_ARCH_${name}`)];
  assert.deepEqual(shared(listed, listed), [x64], 'a rule of connect would also be one of socketcall');
  assert.equal(defaultSeccompProfile([], 'x64').architectures?.includes('SCMP_ARCH_X86'), true);
});

test('a value above 32 bits is refused for an architecture where libseccomp drops the upper half', () => {
  const word = 1n << 32n;
  const combine = (architecture: string, ...args: OciSyscallArg[]) => {
    const profile = allowing(...args.map((arg) => rule('lseek', ALLOW, { args: [arg] })));
    const architectures = [architecture];
    return intersectSeccomp({ ...profile, architectures }, { ...allowing(rule('lseek', ALLOW)), architectures });
  };
  for (const name of ['SCMP_ARCH_ARM', 'SCMP_ARCH_X32']) {
    for (const arg of [
      ...[when('GT', word - 1n), when('LT', word), when('LE', 2n * word - 1n), when('GE', 3n * word)],
      ...[when('EQ', word), when('NE', word), when('MASKED_EQ', MAX, word)],
    ]) {
      assert.throws(() => combine(name, arg), {
        code: 'FAILED_PRECONDITION',
        message: `system call "lseek": one filter cannot express a value above 32 bits for ${name}`,
      });
      assert.ok(combine('SCMP_ARCH_AARCH64', arg));
    }
    for (const arg of [when('LE', word - 1n), when('GE', 5), when('NE', word - 1n), when('MASKED_EQ', 1, word + 1n)]) {
      assert.equal(combine(name, arg).syscalls?.length, 1);
    }
  }
});

test('a mask counts only the bits that it has: a value with others still refuses', () => {
  const prctl = refusing(rule('prctl', ERRNO, { args: [when('MASKED_EQ', 1, 3)] }));
  for (const base of [refusing(), allowing(rule('prctl', ALLOW)), prctl]) {
    const result = intersectSeccomp(prctl, base);
    const actions = [0n, 1n, 2n, 3n].map((value) => [...new Set(actionsOf(result, 'prctl', [value]))]);
    assert.deepEqual(actions, [[ALLOW], [ERRNO], [ALLOW], [ERRNO]]);
  }
});

/** Rules whose combination is small and costs many steps. */
const costly = (rules: number): OciSyscall[] => [
  rule('read', ERRNO, { args: [when('MASKED_EQ', 2 ** 31 - 1, 0)] }),
  rule('read', ERRNO, { args: [when('MASKED_EQ', 2 ** 31 - 1, 0, 1)] }),
  ...Array.from({ length: rules }, (_, n) => rule('read', ERRNO, { args: [when('EQ', 5000 + n, undefined, 2)] })),
  rule('read', ERRNO, { args: [when('LT', 1000, undefined, 2)] }),
  ...Array.from({ length: rules }, (_, n) => rule('read', ALLOW, { args: [when('EQ', n, undefined, 2)] })),
];

test('the work of a combination is limited: it is counted in steps, over all system calls', () => {
  for (const rules of [allowing(...costly(126)), refusing(...costly(126)), allowing(...costly(30))]) {
    const work = createWork();
    assert.throws(() => intersectSeccomp(rules, defaultSeccompProfile([], 'x64'), work), {
      code: 'FAILED_PRECONDITION',
      message: /^system call "read": one filter cannot express /,
    });
    assert.ok(work.spent() < 60_000, `${work.spent()} steps`);
  }
  const many = (count: number): OciSeccomp =>
    refusing(
      ...Array.from({ length: count }, (_, call) => call).flatMap((call) =>
        Array.from({ length: 20 }, (_, n) => rule(`call_${call}`, ERRNO, { args: [when('NE', n, undefined, n % 6)] })),
      ),
    );
  const one = createWork();
  intersectSeccomp(many(1), allowing(rule('call_0', ALLOW)), one);
  assert.throws(
    () =>
      intersectSeccomp(
        many(Math.ceil(50_000 / one.spent()) + 1),
        allowing(...many(400).syscalls!.map(({ names }) => rule(names[0]!, ALLOW))),
      ),
    /^CriError: system call "call_\d+": one filter cannot express these conditions in 50000 steps/,
  );
});

test('an ordinary profile takes a small part of the steps', () => {
  const base = defaultSeccompProfile([], 'x64');
  for (const profile of [base, defaultSeccompProfile(['CAP_SYS_ADMIN', 'CAP_NET_ADMIN', 'CAP_SYS_PTRACE'], 'x64')]) {
    const work = createWork();
    intersectSeccomp(profile, base, work);
    assert.ok(work.spent() < 10_000, `${work.spent()} steps`);
  }
});

test('flags: speculation stays restricted unless both profiles allow it; the others add up', () => {
  const shared = (a: string[] | undefined, b: string[] | undefined): unknown =>
    intersectSeccomp({ ...refusing(), ...(a && { flags: a }) }, { ...refusing(), ...(b && { flags: b }) }).flags;
  const [spec, log] = ['SECCOMP_FILTER_FLAG_SPEC_ALLOW', 'SECCOMP_FILTER_FLAG_LOG'];
  assert.deepEqual(
    [
      shared([spec, log], []),
      shared([spec], [spec]),
      shared(undefined, [log]),
      shared(undefined, undefined),
      shared([], []),
    ],
    [[log], [spec], [log], undefined, []],
  );
});

test('the listener is that of the base, and only if a call is still for it', () => {
  const base = { ...allowing(rule('mount', 'SCMP_ACT_NOTIFY')), listenerPath: '/run/agent', listenerMetadata: 'node' };
  const { listenerPath, syscalls } = intersectSeccomp(refusing(), base);
  assert.deepEqual([listenerPath, syscalls], ['/run/agent', [rule('mount', 'SCMP_ACT_NOTIFY')]]);
  assert.equal(intersectSeccomp(allowing(), base).listenerPath, undefined);
});

test('the default profile combines with itself, and with profiles that refuse by an argument', () => {
  const base = defaultSeccompProfile([], 'x64');
  const itself = intersectSeccomp(base, base);
  for (const name of ['read', 'socket', 'personality', 'clone', 'clone3', 'mount']) {
    for (const value of [0n, 1n, 8n, 37n, 38n, 39n, 40n, 41n, 45n, 46n, 0x20000n, 0x7e020000n, 0x10000000n, MAX]) {
      assert.deepEqual(
        [...new Set(actionsOf(itself, name, [value]))],
        [...new Set(actionsOf(base, name, [value]))],
        `${name}(${value})`,
      );
    }
  }
  const noPackets = intersectSeccomp(refusing(rule('socket', ERRNO, { args: [when('EQ', 17)] })), base);
  const families = Array.from({ length: 50 }, (_, family) => BigInt(family));
  assert.deepEqual(
    families.filter((family) => actionsOf(noPackets, 'socket', [family])[0] === ALLOW),
    families.filter((family) => family !== 17n && actionsOf(base, 'socket', [family])[0] === ALLOW),
  );
});
