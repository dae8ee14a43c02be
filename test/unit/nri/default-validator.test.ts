import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  Field,
  SecurityProfile_ProfileType as ProfileType,
  ValidateContainerAdjustmentRequest,
} from '../../../generated/nri/v1alpha1/api.js';
import { SecurityProfile, SecurityProfile_ProfileType } from '../../../generated/runtime/v1/api.js';
import { CriError } from '../../../src/base/errors.js';
import { defaultConfig, type NriConfig } from '../../../src/config/schema.js';
import { defaultValidator } from '../../../src/nri/default-validator.js';
import type { Partially } from '../spec/inputs.js';

type Rules = Partial<NriConfig['default_validator']>;
type Request = Partially<typeof ValidateContainerAdjustmentRequest>;

async function verdict(rules: Rules, request: Request, seccomp?: SecurityProfile): Promise<string> {
  const validate = defaultValidator({ ...defaultConfig().nri.default_validator, enable: true, ...rules });
  const full = ValidateContainerAdjustmentRequest.fromPartial({
    ...request,
    container: { id: 'c', name: 'app', ...request.container },
  });
  try {
    await validate?.(full, seccomp);
    return 'ok';
  } catch (thrown) {
    const { code, message } = CriError.from(thrown);
    assert.equal(code, 'FAILED_PRECONDITION');
    return message.replace('nri.default_validator rejected the container: ', '');
  }
}

const simple = (field: Field, owner: string): Request => ({
  owners: { owners: { c: { simple: { [field]: owner } } } },
});
const compound = (field: Field, owners: Record<string, string>): Request => ({
  owners: { owners: { c: { compound: { [field]: { owners } } } } },
});
const confined = (profile_type: ProfileType): Request => ({
  ...simple(Field.SeccompPolicy, '10-a'),
  container: { linux: { seccomp_profile: { profile_type } } },
});

describe('the default validator', () => {
  test('takes a seccomp profile from a registry for a custom one', async () => {
    const request = simple(Field.SeccompPolicy, '10-a');
    const profile = SecurityProfile.fromPartial({ profile_type: SecurityProfile_ProfileType.OCI });
    assert.deepEqual(
      [
        await verdict({ reject_unconfined_seccomp_adjustment: true }, request, profile),
        await verdict({ reject_custom_seccomp_adjustment: true }, request, profile),
      ],
      ['ok', 'the custom seccomp policy is adjusted by 10-a'],
    );
  });

  test('is there only if it is enabled', () => {
    assert.equal(defaultValidator(defaultConfig().nri.default_validator), undefined);
  });

  const CASES: readonly [name: string, rule: Rules, request: Request, rejection: string][] = [
    [
      'OCI hooks',
      { reject_oci_hook_adjustment: true },
      simple(Field.OciHooks, '10-a,20-b'),
      'OCI hooks are adjusted by 10-a,20-b',
    ],
    [
      'a seccomp policy that is not confined',
      { reject_unconfined_seccomp_adjustment: true },
      simple(Field.SeccompPolicy, '10-a'),
      'the unconfined seccomp policy is adjusted by 10-a',
    ],
    [
      'the seccomp policy of the runtime',
      { reject_runtime_default_seccomp_adjustment: true },
      confined(ProfileType.RUNTIME_DEFAULT),
      'the runtime default seccomp policy is adjusted by 10-a',
    ],
    [
      'a seccomp policy of the node',
      { reject_custom_seccomp_adjustment: true },
      confined(ProfileType.LOCALHOST),
      'the custom seccomp policy is adjusted by 10-a',
    ],
    [
      'namespaces, also removed ones',
      { reject_namespace_adjustment: true },
      compound(Field.Namespace, { network: '10-a', pid: '-20-b' }),
      'namespaces are adjusted: network by 10-a, pid by 20-b',
    ],
    [
      'sysctls',
      { reject_sysctl_adjustment: true },
      compound(Field.Sysctl, { 'net.x': '10-a' }),
      'sysctls are adjusted: net.x by 10-a',
    ],
    [
      'a container without the plugins that the node requires',
      { required_plugins: ['a', '20-b', '30-b', 'c'] },
      {
        plugins: [
          { index: '10', name: 'a' },
          { index: '20', name: 'b' },
        ],
      },
      'the required plugins 30-b, c are not there',
    ],
  ];
  for (const [name, rule, request, rejection] of CASES) {
    test(`rejects ${name} only by its own rule`, async () => {
      const others = CASES.map(([, other]) => other).filter((other) => other !== rule && !other.required_plugins);
      assert.deepEqual(
        [await verdict(rule, request), await verdict(Object.assign({}, ...others) as Rules, request)],
        [rejection, 'ok'],
      );
    });
  }

  test('takes the plugins that a pod requires from the annotation that is nearest to the container', async () => {
    const key = 'required-plugins.noderesource.dev';
    const of = (annotations: Record<string, string>): Promise<string> => verdict({}, { pod: { annotations } });
    const missing = (name: string): string => `the required plugins ${name} are not there`;
    assert.deepEqual(
      [
        await of({ [key]: '[x]' }),
        await of({ [key]: '[x]', [`${key}/pod`]: '- y' }),
        await of({ [`${key}/pod`]: '[y]', [`${key}/container.app`]: '["z"]' }),
        await of({ [`${key}/container.other`]: '[z]' }),
        await of({ [key]: 'x: [' }),
        await of({ [key]: '[1]' }),
      ],
      [
        missing('x'),
        missing('y'),
        missing('z'),
        'ok',
        ...Array<string>(2).fill(`annotation ${key}: expected a list of names in YAML`),
      ],
    );
  });

  test('lets a pod tolerate missing plugins by the annotation that the node names', async () => {
    const rules: Rules = { required_plugins: ['a'], tolerate_missing_plugins_annotation: 'tolerate' };
    const of = (value: string): Promise<string> => verdict(rules, { pod: { annotations: { tolerate: value } } });
    assert.deepEqual(
      [await of('true'), await of('1'), await of('false'), await of('maybe')],
      ['ok', 'ok', 'the required plugins a are not there', 'annotation tolerate: expected true or false'],
    );
  });
});
