import assert from 'node:assert/strict';
import { mkdir, mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { MountPropagation, NamespaceMode } from '../../../generated/runtime/v1/api.js';
import { run } from '../../../tools/stack/exec.js';
import { runPod, type RunningPod } from '../../harness/pod.js';
import { startSuite } from '../rpc/suite.js';
import { context, inside, value, type ContainerPart } from './rules.js';

/** This hook must run before the suite's own, which fails if a mount is left. */
const mountsMade: string[] = [];
after(async () => {
  for (const path of mountsMade.reverse()) await run('umount', ['-l', path]);
});
const suite = startSuite();

type MountPart = NonNullable<ContainerPart['mounts']>[number];

const { PROPAGATION_PRIVATE, PROPAGATION_HOST_TO_CONTAINER, PROPAGATION_BIDIRECTIONAL } = MountPropagation;
const OPTIONS = ['nosuid', 'nodev', 'noexec'];
const SUBSETS = [0, 1, 2, 3, 4, 5, 6, 7].map((bits) => OPTIONS.filter((_, index) => bits & (1 << index)));
const ACCESS: readonly (readonly [name: string, mount: Partial<MountPart>])[] = [
  ['rw', {}],
  ['ro', { readonly: true }],
  ['rro', { readonly: true, recursive_read_only: true }],
];
const PROPAGATION = [PROPAGATION_PRIVATE, PROPAGATION_HOST_TO_CONTAINER, PROPAGATION_BIDIRECTIONAL];
const HOST_ID = 1_000_000;
const mapping = [{ host_id: HOST_ID, container_id: 0, length: 65_536 }];
const userns = { mode: NamespaceMode.POD, uids: mapping, gids: mapping };
const inUserns = context({ namespace_options: { userns_options: userns } });

/** Returns a folder that is a shared mount of its own, without any flag, with a mount at `below`. */
async function shared(): Promise<string> {
  const folder = await mkdtemp(join(suite.stack.dir, 'options-'));
  await run('mount', ['-t', 'tmpfs', 'tmpfs', folder]);
  mountsMade.push(folder);
  await run('mount', ['--make-shared', folder]);
  await mkdir(join(folder, 'below'));
  await run('mount', ['-t', 'tmpfs', 'tmpfs', join(folder, 'below')]);
  mountsMade.push(join(folder, 'below'));
  return folder;
}

/** Runs a container with these mounts, each at /v/INDEX, and returns the flags that each has inside. */
async function flagsOf(pod: RunningPod, config: ContainerPart, mounts: readonly Partial<MountPart>[]) {
  const listed = mounts.map((mount, index) => ({ container_path: `/v/${index}`, ...mount }));
  const table = await inside(suite, pod, { ...config, mounts: listed }, "awk '{print $5, $6}' /proc/self/mountinfo");
  const flags = new Map(table.split('\n').map((line) => line.split(' ') as [string, string]));
  return (path: string): string[] => (flags.get(path) ?? 'no mount').split(',');
}

const wanted = (flags: readonly string[]): string[] => flags.filter((flag) => [...OPTIONS, 'ro', 'rw'].includes(flag));

test('mount_options: every combination with access and propagation', async () => {
  const host_path = await shared();
  const pod = await runPod(suite.crid, suite.stack, { linux: { security_context: { privileged: true } } });
  const cases = SUBSETS.flatMap((options) =>
    ACCESS.flatMap(([access, mount]) =>
      PROPAGATION.filter((propagation) => access !== 'rro' || propagation === PROPAGATION_PRIVATE).map(
        (propagation) => ({ options, access, propagation, mount }),
      ),
    ),
  );
  const flags = await flagsOf(
    pod,
    context({ privileged: true }),
    cases.map(({ options, propagation, mount }) => ({ host_path, propagation, mount_options: options, ...mount })),
  );
  const name = ({ options, access, propagation }: (typeof cases)[number]): string =>
    [access, ...options, MountPropagation[propagation]].join(' ');
  assert.deepEqual(
    cases.map((one, index) => [name(one), wanted(flags(`/v/${index}`)), wanted(flags(`/v/${index}/below`))]),
    cases.map((one) => [
      name(one),
      [one.access === 'rw' ? 'rw' : 'ro', ...one.options],
      // Mounts below keep the flags that they have on the host, as with `ro`.
      [one.access === 'rro' ? 'ro' : 'rw'],
    ]),
  );
  await pod.remove();
});

test('mount_options: in a user namespace, with and without id mappings', async () => {
  const host_path = await shared();
  const pod = await runPod(suite.crid, suite.stack, {
    linux: { security_context: { namespace_options: { userns_options: userns } } },
  });
  const cases = SUBSETS.flatMap((options) =>
    ACCESS.flatMap(([access, mount]) => [
      { options, access, mount },
      { options, access, mount: { ...mount, uidMappings: mapping, gidMappings: mapping } },
    ]),
  );
  const flags = await flagsOf(
    pod,
    inUserns,
    cases.map(({ options, mount }) => ({ host_path, mount_options: options, ...mount })),
  );
  const isMapped = (mount: Partial<MountPart>): boolean => mount.uidMappings !== undefined;
  const name = ({ options, access, mount }: (typeof cases)[number]): string =>
    [access, ...options, isMapped(mount) ? 'mapped' : ''].join(' ');
  assert.deepEqual(
    cases.map((one, index) => {
      const all = flags(`/v/${index}`);
      return [name(one), wanted(all), all.includes('idmapped')];
    }),
    cases.map((one) => [name(one), [one.access === 'rw' ? 'rw' : 'ro', ...one.options], isMapped(one.mount)]),
  );
  await pod.remove();
});

test('mount_options: an exec, a setuid and a device are refused', async () => {
  const host_path = await shared();
  const pod = await runPod(suite.crid, suite.stack);
  const volume = (mount_options: string[]): MountPart => ({ container_path: '/volume', host_path, mount_options });
  const prepare = 'cp /bin/busybox /volume/su && chmod 4755 /volume/su && mknod -m 666 /volume/null c 1 3 && echo done';
  assert.equal(await inside(suite, pod, { mounts: [volume([])] }, prepare), 'done');

  const user = context({ run_as_user: value(1000) });
  // Without its setuid bit, busybox's su says so before it looks for the user.
  const attempts = '/volume/su nobody-of-this-name 2>&1; echo x 2>/dev/null > /volume/null && echo written';
  const attempt = (options: string[]): Promise<string> =>
    inside(suite, pod, { ...user, mounts: [volume(options)] }, attempts);
  const [none, nosuid, nodev, noexec] = [[], ['nosuid'], ['nodev'], ['noexec']].map(attempt);
  assert.match(await none!, /unknown user.*\nwritten$/);
  assert.match(await nosuid!, /must be suid.*\nwritten$/);
  assert.match(await nodev!, /unknown user[^\n]*(\n.*denied)?$/);
  assert.match(await noexec!, /denied\nwritten$/);
  await pod.remove();
});
