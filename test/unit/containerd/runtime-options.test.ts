import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Options as RuncOptions } from '../../../generated/containerd/types/runc/options/oci.js';
import { Options as GenericOptions } from '../../../generated/containerd/types/runtimeoptions/v1/api.js';
import { decodeRuntimeOptions, runtimeOptions } from '../../../src/containerd/runtime-options.js';

const runc = (options: Record<string, unknown>) => runtimeOptions('io.containerd.runc.v2', options);

test('every option of runc has its field', () => {
  const any = runc({
    NoPivotRoot: true,
    NoNewKeyring: true,
    ShimCgroup: '/shim',
    IoUid: 1,
    IoGid: 2n,
    BinaryName: '/bin/crun',
    Root: '/run/crun',
    SystemdCgroup: true,
    CriuImagePath: '/image',
    CriuWorkPath: '/work',
    TaskApiAddress: 'unix:///x',
    TaskApiVersion: 3,
  });
  assert.equal(any?.type_url, 'containerd.runc.v1.Options');
  const expected = {
    no_pivot_root: true,
    no_new_keyring: true,
    shim_cgroup: '/shim',
    io_uid: 1,
    io_gid: 2,
    binary_name: '/bin/crun',
    root: '/run/crun',
    systemd_cgroup: true,
    criu_image_path: '/image',
    criu_work_path: '/work',
    task_api_address: 'unix:///x',
    task_api_version: 3,
  };
  assert.deepEqual(RuncOptions.decode(any?.value ?? Buffer.of()), expected);
  assert.deepEqual(any && decodeRuntimeOptions(any), expected);
  assert.equal(runc({}), undefined);
});

test('other runtimes get a path, a body, or the whole table as TOML', () => {
  const generic = (options: Record<string, unknown>) => {
    const any = runtimeOptions('io.containerd.kata.v2', options);
    assert.equal(any?.type_url, 'runtimeoptions.v1.Options');
    const { type_url, config_path, config_body } = GenericOptions.decode(any.value);
    return [type_url, config_path, config_body.toString().trim()];
  };
  assert.deepEqual(
    [
      generic({ TypeUrl: 't', ConfigPath: '/etc/kata.toml' }),
      generic({ ConfigBody: 'x = 1' }),
      generic({ TypeUrl: 't', own: 'key' }),
    ],
    [
      ['t', '/etc/kata.toml', ''],
      ['', '', 'x = 1'],
      ['t', '', 'TypeUrl = "t"\nown = "key"'],
    ],
  );
});

test('an unknown key or a wrong value is named', () => {
  const named = (type: string, options: Record<string, unknown>, key: string): void =>
    assert.throws(() => runtimeOptions(type, options), { code: 'INVALID_ARGUMENT', message: new RegExp(key) });
  named('io.containerd.runc.v2', { CriuPath: '/criu' }, 'CriuPath');
  named('io.containerd.runc.v2', { toString: 'x' }, 'toString');
  named('io.containerd.runc.v2', { SystemdCgroup: 'yes' }, 'SystemdCgroup: expected a boolean, got string');
  named('io.containerd.runc.v2', { IoUid: -1 }, 'IoUid');
  named('io.containerd.kata.v2', { ConfigPath: '/x', Other: 1 }, 'Other');
});
