import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openRootfs } from '../../../../src/host/files/rootfs.js';
import { kernelProblems, kernelRelease } from '../../../../src/host/syscall/kernel.js';
import { call, numberedCall } from '../../../../src/host/syscall/libc.js';

test('the error for a missing kernel call names the call and its purpose', () => {
  assert.deepEqual(kernelProblems(), [], 'this kernel has all');
  assert.deepEqual(
    kernelProblems(({ name }) => name !== 'mount_setattr'),
    [
      `Linux ${kernelRelease()}: this kernel has no mount_setattr, which came with Linux 5.12; needed for ` +
        'images as volumes of a pod with a user namespace',
    ],
  );
});

test('a call that the kernel does not have fails with what it is, not with ENOSYS', () => {
  const NO_CALL = 4_000;
  assert.throws(() => call(numberedCall('mount_setattr', []), '/etc/passwd', NO_CALL), {
    code: 'FAILED_PRECONDITION',
    message: 'mount_setattr /etc/passwd: this kernel has no mount_setattr, which came with Linux 5.12',
  });
});

test('a type of mount that needs a helper program is UNIMPLEMENTED', async () => {
  await assert.rejects(openRootfs([{ type: 'fuse.nydus-overlayfs', source: '', target: '', options: [] }]), {
    code: 'UNIMPLEMENTED',
    message: 'open rootfs: the type "fuse.nydus-overlayfs" needs a helper program to mount it',
  });
});
