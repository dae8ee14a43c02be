import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Capability, SecurityProfile } from '../../../../generated/runtime/v1/api.js';
import { appArmorNeed } from '../../../../src/spec/security/apparmor-need.js';
import { containerCapabilities, parsePermittedCapabilities } from '../../../../src/spec/security/capabilities.js';
import { DEFAULT_CAPABILITIES, KNOWN_CAPABILITIES } from '../../../../src/spec/security/known-capabilities.js';
import { containerSeccomp, seccompSources, type SeccompRequest } from '../../../../src/spec/security/seccomp.js';
import { defaultSeccompProfile } from '../../../../src/spec/security/seccomp-default.js';
import { checkSelinuxOptions } from '../../../../src/spec/validate/validate-security.js';
import { refusal } from '../inputs.js';

const sets = (names: readonly string[]): object => ({ bounding: names, effective: names, permitted: names });
const caps = (add: string[], drop: string[], grantable?: string[]): object =>
  containerCapabilities({
    requested: Capability.fromPartial({ add_capabilities: add, drop_capabilities: drop }),
    privileged: false,
    grantable,
  });

test('capabilities: the fourteen defaults, then add ALL, drop ALL, adds, drops', () => {
  assert.deepEqual(
    [
      containerCapabilities({ requested: undefined, privileged: false }),
      caps(['NET_ADMIN', 'cap_sys_time', 'chown'], ['CAP_KILL']),
      caps(['ALL'], ['SYS_ADMIN'], ['CAP_CHOWN', 'CAP_SYS_ADMIN', 'CAP_BPF']),
      caps(['BPF'], ['all']),
      caps(['ALL'], ['ALL']),
      caps(['KILL'], ['KILL']),
    ],
    [
      sets(DEFAULT_CAPABILITIES),
      sets([...DEFAULT_CAPABILITIES.filter((name) => name !== 'CAP_KILL'), 'CAP_NET_ADMIN', 'CAP_SYS_TIME']),
      sets(['CAP_CHOWN', 'CAP_BPF']),
      sets(['CAP_BPF']),
      {},
      sets(DEFAULT_CAPABILITIES.filter((name) => name !== 'CAP_KILL')),
    ],
  );
});

test('capabilities: ambient ones are in every set; privileged gets all that crid may grant', () => {
  const requested = Capability.fromPartial({ drop_capabilities: ['ALL'], add_ambient_capabilities: ['NET_RAW'] });
  assert.deepEqual(
    [
      containerCapabilities({ requested, privileged: false }),
      containerCapabilities({ requested: undefined, privileged: true, grantable: ['CAP_CHOWN', 'CAP_BPF'] }),
    ],
    [
      { ...sets(['CAP_NET_RAW']), inheritable: ['CAP_NET_RAW'], ambient: ['CAP_NET_RAW'] },
      sets(['CAP_CHOWN', 'CAP_BPF']),
    ],
  );
});

test('capabilities: unknown names are passed on to the runtime; the permitted ones are read from the mask', () => {
  assert.deepEqual(
    [
      containerCapabilities({
        requested: Capability.fromPartial({ add_capabilities: ['fly'], drop_capabilities: ['ALL', 'SWIM'] }),
        privileged: false,
      }),
      parsePermittedCapabilities('Name:\tx\nCapPrm:\t0000000000000021\nCapEff:\t0000000000000000\n'),
      parsePermittedCapabilities('CapPrm:\t000001ffffffffff\n').length,
    ],
    [sets(['CAP_FLY']), ['CAP_CHOWN', 'CAP_KILL'], KNOWN_CAPABILITIES.length],
  );
});

const seccompRequest = (input: Partial<SeccompRequest> = {}): SeccompRequest => ({
  profile: undefined,
  legacy: '',
  unset: '',
  privileged: false,
  enabled: true,
  ...input,
});
const profileOf = (profile_type: number, localhost_ref = ''): SecurityProfile =>
  SecurityProfile.fromPartial({ profile_type, localhost_ref });
const chosen = (input: Partial<SeccompRequest>, localhost?: unknown): string | undefined =>
  containerSeccomp(seccompRequest(input), {
    capabilities: [],
    machine: 'x64',
    profiles: { localhost },
    base: { defaultAction: 'BASE' },
  })?.defaultAction;

test('seccomp: the request, else the older field, else the configuration, else the base spec', () => {
  const file = { defaultAction: 'FILE' };
  assert.deepEqual(
    [
      chosen({}),
      chosen({ unset: 'runtime/default' }),
      chosen({ unset: 'runtime/default', legacy: 'unconfined' }),
      chosen({ legacy: 'localhost//p.json', profile: profileOf(0) }),
      chosen({ profile: profileOf(1), unset: 'runtime/default' }),
      chosen({ profile: profileOf(2, '/p.json') }, file),
      chosen({ profile: profileOf(0), privileged: true }),
    ],
    ['BASE', 'SCMP_ACT_ERRNO', undefined, 'SCMP_ACT_ERRNO', undefined, 'FILE', undefined],
  );
});

test('seccomp: the file of a localhost profile is read, and refused by name if it is invalid', () => {
  assert.deepEqual(
    [
      seccompSources(seccompRequest({ profile: profileOf(2, 'localhost//p.json') })).file?.path,
      seccompSources(seccompRequest({ legacy: 'localhost//q.json' })).file?.path,
      seccompSources(seccompRequest({ profile: profileOf(2, '/p.json'), privileged: true })).file?.path,
      refusal(() => chosen({ profile: profileOf(2, '/p.json') }, [])),
      refusal(() => chosen({ profile: profileOf(2, '/p.json') }, { syscalls: [] })),
      refusal(() => chosen({ profile: profileOf(2) })),
      refusal(() => chosen({ profile: profileOf(0, '/p.json') })),
      refusal(() => chosen({ profile: profileOf(9) })),
      refusal(() => chosen({ profile: profileOf(0), enabled: false })),
    ],
    [
      '/p.json',
      '/q.json',
      undefined,
      'INVALID_ARGUMENT config.linux.security_context.seccomp.localhost_ref: /p.json is not a JSON object',
      'INVALID_ARGUMENT config.linux.security_context.seccomp.localhost_ref: /p.json has no defaultAction',
      'INVALID_ARGUMENT config.linux.security_context.seccomp.localhost_ref: must not be empty',
      'INVALID_ARGUMENT config.linux.security_context.seccomp.localhost_ref: is only for profiles of type Localhost',
      'INVALID_ARGUMENT config.linux.security_context.seccomp.profile_type: unknown value 9',
      'FAILED_PRECONDITION config.linux.security_context.seccomp: this kernel has no seccomp filters',
    ],
  );
});

test('seccomp: the default profile depends on capabilities and architecture', () => {
  const allowed = (capabilities: string[], machine: string): ReadonlySet<string> =>
    new Set(defaultSeccompProfile(capabilities, machine).syscalls?.[0]?.names);
  const names = ['read', 'chroot', 'mount', 'clone', 'bpf', 'arch_prctl', 'riscv_hwprobe', 'keyctl'];
  const of = (capabilities: string[], machine: string): string[] =>
    names.filter((name) => allowed(capabilities, machine).has(name));
  assert.deepEqual(
    [of([], 'x64'), of(['CAP_SYS_CHROOT', 'CAP_BPF'], 'riscv64'), of(['CAP_SYS_ADMIN'], 'aarch64')],
    [
      ['read', 'arch_prctl'],
      ['read', 'chroot', 'bpf', 'riscv_hwprobe'],
      ['read', 'mount', 'clone', 'bpf'],
    ],
  );
});

test('seccomp: rules by argument', () => {
  const { syscalls, ...rest } = defaultSeccompProfile([], 'arm64');
  const one = (name: string, value: number, op: string): object => ({
    names: [name],
    action: 'SCMP_ACT_ALLOW',
    args: [{ index: 0, value, op }],
  });
  assert.deepEqual(
    { ...rest, syscalls: syscalls?.slice(1) },
    {
      defaultAction: 'SCMP_ACT_ERRNO',
      architectures: ['SCMP_ARCH_ARM', 'SCMP_ARCH_AARCH64'],
      syscalls: [
        one('socket', 38, 'SCMP_CMP_LT'),
        ...[39, 41, 42, 43, 44, 45].map((family) => one('socket', family, 'SCMP_CMP_EQ')),
        ...[0, 8, 0x20000, 0x20008, 0xffffffff].map((value) => one('personality', value, 'SCMP_CMP_EQ')),
        {
          names: ['clone'],
          action: 'SCMP_ACT_ALLOW',
          args: [{ index: 0, value: 0x7e020000, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
        },
        { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 },
      ],
    },
  );
});

test('AppArmor: the default profile if the host has it, an error if a requested one is missing', () => {
  const need = (profile: SecurityProfile | undefined, legacy = '', privileged = false, enabled = true): unknown =>
    appArmorNeed({ profile, legacy, privileged, enabled });
  const byDefault = { kind: 'default', name: 'cri-containerd.apparmor.d' };
  assert.deepEqual(
    [
      need(undefined),
      need(profileOf(0)),
      need(profileOf(0), '', true),
      need(profileOf(1)),
      need(profileOf(2, 'localhost/mine'), '', true),
      need(undefined, 'localhost/old'),
      need(undefined, '', false, false),
      need(profileOf(1), '', false, false),
      refusal(() => need(profileOf(0), '', false, false)),
      refusal(() => need(undefined, 'mine')),
    ],
    [
      byDefault,
      byDefault,
      { kind: 'none' },
      { kind: 'none' },
      { kind: 'localhost', name: 'mine' },
      { kind: 'localhost', name: 'old' },
      { kind: 'none' },
      { kind: 'none' },
      'FAILED_PRECONDITION config.linux.security_context.apparmor: AppArmor is not available on this host or disabled',
      'INVALID_ARGUMENT config.linux.security_context.apparmor: unknown profile "mine"',
    ],
  );
});

test('SELinux: a malformed level or part is refused', () => {
  const option = (level: string, user = ''): { user: string; role: string; type: string; level: string } => ({
    user,
    role: '',
    type: '',
    level,
  });
  const levels = ['', 's0', 's0-s1', 's0:c1', 's0:c1.c3,c7', 's0-s2:c1,c2'];
  assert.deepEqual(
    [
      levels.map((level) => refusal(() => checkSelinuxOptions(option(level), 'f'))),
      refusal(() => checkSelinuxOptions(option('s0:c12345'), 'f')),
      refusal(() => checkSelinuxOptions(option('', 'a:b'), 'f')),
    ],
    [
      levels.map(() => 'nothing thrown'),
      'INVALID_ARGUMENT f.level: "s0:c12345" is not a level such as s0:c1,c2',
      'INVALID_ARGUMENT f.user: contains ":"',
    ],
  );
});
