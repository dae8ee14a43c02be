import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LinuxContainerSecurityContext, SecurityProfile } from '../../../../generated/runtime/v1/api.js';
import { CriError } from '../../../../src/base/errors.js';
import type { OciSeccomp } from '../../../../src/spec/oci.js';
import { parsePulledSeccomp } from '../../../../src/spec/security/pulled-seccomp.js';
import { containerSeccomp, seccompSources } from '../../../../src/spec/security/seccomp.js';
import type { SeccompProfiles } from '../../../../src/spec/types.js';
import { chooseProfile, chooseSeccompProfile } from '../../../../src/spec/security/security-profile.js';
import {
  checkContainerSecurityContext,
  checkSandboxSecurityContext,
} from '../../../../src/spec/validate/validate-security.js';

const [RUNTIME_DEFAULT, UNCONFINED, LOCALHOST, OCI] = [0, 1, 2, 3];
const REF = `registry.example.com/profile@sha256:${'a'.repeat(64)}`;

const refusal = (work: () => unknown): string => {
  try {
    work();
  } catch (thrown) {
    if (thrown instanceof CriError) return `${thrown.code} ${thrown.message}`;
    throw thrown;
  }
  return 'accepted';
};

test('type OCI: a reference with a digest, and a base that is the default unless it is a file', () => {
  const choose = (profile: Parameters<typeof SecurityProfile.fromPartial>[0]): unknown =>
    chooseSeccompProfile(SecurityProfile.fromPartial({ profile_type: OCI, oci_ref: REF, ...profile }), '', '', 'f');
  assert.deepEqual(
    [choose({}), choose({ base_profile: {} }), choose({ base_profile: { type: 1, localhost_ref: '/p.json' } })],
    [
      { kind: 'pulled', ref: REF, base: { kind: 'default' } },
      { kind: 'pulled', ref: REF, base: { kind: 'default' } },
      { kind: 'pulled', ref: REF, base: { kind: 'localhost', ref: '/p.json' } },
    ],
  );
});

test('a field of another type is an error that names it', () => {
  const refused = (profile: Parameters<typeof SecurityProfile.fromPartial>[0]): string =>
    refusal(() => chooseSeccompProfile(SecurityProfile.fromPartial(profile), '', '', 'f'));
  const base = { type: LOCALHOST, localhost_ref: '/p.json' };
  assert.deepEqual(
    [
      refused({ profile_type: RUNTIME_DEFAULT, oci_ref: REF }),
      refused({ profile_type: UNCONFINED, base_profile: base }),
      refused({ profile_type: LOCALHOST, localhost_ref: '/p.json', base_profile: {} }),
      refused({ profile_type: OCI, oci_ref: REF, localhost_ref: '/p.json' }),
      refused({ profile_type: OCI }),
      refused({ profile_type: OCI, oci_ref: 'registry.example.com/profile:1' }),
      refused({ profile_type: OCI, oci_ref: REF, base_profile: { localhost_ref: '/p.json' } }),
      refused({ profile_type: OCI, oci_ref: REF, base_profile: { type: 1 } }),
      refused({ profile_type: OCI, oci_ref: REF, base_profile: { type: 7 as never } }),
    ],
    [
      'INVALID_ARGUMENT f.oci_ref: is only for profiles of type OCI',
      'INVALID_ARGUMENT f.base_profile: is only for profiles of type OCI',
      'INVALID_ARGUMENT f.base_profile: is only for profiles of type OCI',
      'INVALID_ARGUMENT f.localhost_ref: is only for profiles of type Localhost',
      'INVALID_ARGUMENT f.oci_ref: must not be empty',
      'INVALID_ARGUMENT f.oci_ref: "registry.example.com/profile:1" has no digest',
      'INVALID_ARGUMENT f.base_profile.localhost_ref: is only for profiles of type Localhost',
      'INVALID_ARGUMENT f.base_profile.localhost_ref: must not be empty',
      'INVALID_ARGUMENT f.base_profile.type: unknown value 7',
    ],
  );
});

test('the requests are checked before anything is made: AppArmor has no type OCI, a base path is absolute', () => {
  const oci = { profile_type: OCI, oci_ref: REF };
  const relative = { seccomp: { ...oci, base_profile: { type: 1, localhost_ref: 'p.json' } } };
  const context = (part: Parameters<typeof LinuxContainerSecurityContext.fromPartial>[0]) =>
    LinuxContainerSecurityContext.fromPartial(part);
  assert.equal(
    refusal(() => chooseProfile(SecurityProfile.fromPartial(oci), '', '', 'f')),
    'INVALID_ARGUMENT f.profile_type: OCI is only for seccomp',
  );
  for (const check of [
    (part: Parameters<typeof context>[0]) => checkContainerSecurityContext(context(part), 'c'),
    (part: Parameters<typeof context>[0]) =>
      checkSandboxSecurityContext({ ...context(part), selinux_options: undefined }, 'c'),
  ]) {
    assert.match(
      refusal(() => check({ apparmor: oci })),
      /^INVALID_ARGUMENT c\.apparmor\.profile_type: /,
    );
    assert.match(
      refusal(() => check(relative)),
      /^INVALID_ARGUMENT c\.seccomp\.base_profile\.localhost_ref: /,
    );
    assert.equal(
      refusal(() => check({ seccomp: oci })),
      'accepted',
    );
  }
});

const rule = (name: string, action: string) => ({ names: [name], action });
const PULLED: OciSeccomp = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [rule('chmod', 'SCMP_ACT_ERRNO')] };

function filterOf(base: object | undefined, profiles: SeccompProfiles): OciSeccomp | undefined {
  const profile = SecurityProfile.fromPartial({ profile_type: OCI, oci_ref: REF, ...(base && { base_profile: base }) });
  const request = { profile, legacy: '', unset: '', privileged: false, enabled: true };
  return containerSeccomp(request, { capabilities: [], machine: 'x64', profiles });
}

test('a pulled profile is combined with the default profile, or with the file of the base', () => {
  const byDefault = filterOf(undefined, { pulled: PULLED });
  const allowed = byDefault?.syscalls
    ?.filter(({ action }) => action === 'SCMP_ACT_ALLOW')
    .flatMap(({ names }) => names);
  assert.deepEqual(
    [byDefault?.defaultAction, allowed?.includes('chown'), allowed?.includes('chmod'), allowed?.includes('mount')],
    ['SCMP_ACT_ERRNO', true, false, false],
  );
  const localhost = { defaultAction: 'SCMP_ACT_LOG', syscalls: [rule('mkdir', 'SCMP_ACT_KILL')] };
  assert.deepEqual(filterOf({ type: 1, localhost_ref: '/p.json' }, { pulled: PULLED, localhost }), {
    defaultAction: 'SCMP_ACT_LOG',
    syscalls: [rule('chmod', 'SCMP_ACT_ERRNO'), rule('mkdir', 'SCMP_ACT_KILL')],
  });
});

test('the profiles that must be read, and a base that cannot be combined', () => {
  const sourcesOf = (base: object): unknown =>
    seccompSources({
      profile: SecurityProfile.fromPartial({ profile_type: OCI, oci_ref: REF, base_profile: base }),
      ...{ legacy: '', unset: '', privileged: false, enabled: true },
    });
  const field = 'config.linux.security_context.seccomp.base_profile.localhost_ref';
  assert.deepEqual(
    [
      sourcesOf({}),
      sourcesOf({ type: 1, localhost_ref: '/p.json' }),
      refusal(() => filterOf({ type: 1, localhost_ref: '/p.json' }, { pulled: PULLED, localhost: [] })),
      refusal(() =>
        filterOf(
          { type: 1, localhost_ref: '/p.json' },
          { pulled: PULLED, localhost: { defaultAction: 'SCMP_ACT_LOG', syscalls: [{ name: 'x' }] } },
        ),
      ),
      refusal(() =>
        filterOf(
          { type: 1, localhost_ref: '/p.json' },
          { pulled: PULLED, localhost: { defaultAction: 'SCMP_ACT_NEW' } },
        ),
      ),
    ],
    [
      { pulled: REF },
      { pulled: REF, file: { path: '/p.json', field } },
      `INVALID_ARGUMENT ${field}: /p.json is not a JSON object`,
      `INVALID_ARGUMENT ${field}: /p.json has syscalls that are not rules`,
      `INVALID_ARGUMENT config.linux.security_context.seccomp: profile "${REF}" with its base: unknown action "SCMP_ACT_NEW"`,
    ],
  );
});

test('a pulled profile is checked field by field', () => {
  const good = {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: 38,
    architectures: ['SCMP_ARCH_X86_64'],
    flags: ['SECCOMP_FILTER_FLAG_LOG'],
    syscalls: [
      {
        names: ['read', 'pread64'],
        action: 'SCMP_ACT_ALLOW',
        args: [{ index: 0, value: 1, valueTwo: 2n ** 63n, op: 'SCMP_CMP_MASKED_EQ' }],
      },
    ],
  };
  assert.deepEqual(parsePulledSeccomp(good), good);
  const [first] = good.syscalls;
  const withRule = (part: object): object => ({ ...good, syscalls: [{ ...first, ...part }] });
  const arg = (part: object): object => withRule({ args: [{ index: 0, value: 1, op: 'SCMP_CMP_EQ', ...part }] });
  const refused = [
    [],
    null,
    {},
    { ...good, defaultAction: 'ALLOW' },
    { ...good, defaultAction: 'SCMP_ACT_NOTIFY' },
    { ...good, listenerPath: '/run/agent' },
    { ...good, archMap: [] },
    { ...good, defaultErrnoRet: 5000 },
    { ...good, defaultAction: 'SCMP_ACT_KILL' },
    { ...good, flags: ['SECCOMP_FILTER_FLAG_NEW_LISTENER'] },
    { ...good, syscalls: {} },
    withRule({ excludes: { caps: ['CAP_SYS_ADMIN'] } }),
    withRule({ names: ['read;'] }),
    withRule({ names: 'read' }),
    withRule({ action: 'SCMP_ACT_NOTIFY' }),
    withRule({ errnoRet: 1 }),
    arg({ index: 6 }),
    arg({ value: -1 }),
    arg({ value: 1.5 }),
    arg({ value: 2n ** 64n }),
    arg({ op: 'EQ' }),
    { ...good, syscalls: Array.from({ length: 257 }, () => first) },
    { ...good, syscalls: Array.from({ length: 4097 }, (_, n) => ({ ...first, names: [`call${n}`] })) },
  ].map((profile) => refusal(() => parsePulledSeccomp(profile)));
  assert.deepEqual(refused, [
    'INVALID_ARGUMENT profile: is not an object',
    'INVALID_ARGUMENT profile: is not an object',
    'INVALID_ARGUMENT defaultAction: undefined is not an action',
    'INVALID_ARGUMENT defaultAction: "ALLOW" is not an action',
    'INVALID_ARGUMENT defaultAction: SCMP_ACT_NOTIFY needs a listener of the node',
    'INVALID_ARGUMENT profile: unknown field "listenerPath"',
    'INVALID_ARGUMENT profile: unknown field "archMap"',
    'INVALID_ARGUMENT defaultErrnoRet: 5000 is not a number from 0 to 4095',
    'INVALID_ARGUMENT defaultErrnoRet: is not for SCMP_ACT_KILL',
    'INVALID_ARGUMENT flags[0]: "SECCOMP_FILTER_FLAG_NEW_LISTENER" is not known',
    'INVALID_ARGUMENT syscalls: is not a list',
    'INVALID_ARGUMENT syscalls[0]: unknown field "excludes"',
    'INVALID_ARGUMENT syscalls[0].names[0]: "read;" is not known',
    'INVALID_ARGUMENT syscalls[0].names: is not a list',
    'INVALID_ARGUMENT syscalls[0].action: SCMP_ACT_NOTIFY needs a listener of the node',
    'INVALID_ARGUMENT syscalls[0].errnoRet: is not for SCMP_ACT_ALLOW',
    'INVALID_ARGUMENT syscalls[0].args[0].index: 6 is not a number from 0 to 5',
    'INVALID_ARGUMENT syscalls[0].args[0].value: -1 is not a number from 0 to 18446744073709551615',
    'INVALID_ARGUMENT syscalls[0].args[0].value: 1.5 is not a number from 0 to 18446744073709551615',
    'INVALID_ARGUMENT syscalls[0].args[0].value: 18446744073709551616 is not a number from 0 to 18446744073709551615',
    'INVALID_ARGUMENT syscalls[0].args[0].op: "EQ" is not a comparison',
    'INVALID_ARGUMENT syscalls: more than 64 rules for "read"',
    'INVALID_ARGUMENT syscalls: has more than 4096 entries',
  ]);
});
