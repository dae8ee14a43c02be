import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { SecurityProfileKind, SecurityProfile_ProfileType } from '../../../generated/runtime/v1/api.js';
import { NAMESPACE_SUFFIX } from '../../../src/images/profiles/profile-store.js';
import { NAMESPACE } from '../../harness/leaks.js';
import { connect } from '../containerd/lab.js';
import { containerConfig, runPod, type Container } from '../../harness/pod.js';
import { freePort } from '../../../tools/stack/ports.js';
import { pushArtifact, type Artifact } from './artifact.js';
import { startProxy } from './registry-proxy.js';
import { assertFails, failureOf, startSuite, type BadRequest } from './suite.js';

const suite = startSuite({ withPod: true });
const { OCI } = SecurityProfile_ProfileType;
/** Refuses one system call, and is different for each test. */
const refusing = (name: string, more: object = {}): object => ({
  defaultAction: 'SCMP_ACT_ALLOW',
  syscalls: [{ names: [name], action: 'SCMP_ACT_ERRNO', errnoRet: 71, comment: randomUUID() }],
  ...more,
});

const push = (artifact: Artifact, repository = 'crid-test/profile'): Promise<string> =>
  pushArtifact(suite.stack.registry.url, repository, artifact);
const pushProfile = async (profile: object): Promise<string> => {
  const digest = await push({ layers: [JSON.stringify(profile)] });
  return `docker.io/crid-test/profile@${digest}`;
};
const pull = (image: string, kind = SecurityProfileKind.Seccomp): Promise<{ cached: boolean }> =>
  suite.crid.images.pullSecurityProfile({ image: { image, user_specified_image: image }, profile_kind: kind });
const list = async (): Promise<{ digest: string; refs: string[]; size: bigint }[]> =>
  (await suite.crid.images.listSecurityProfiles({})).profiles;
const remove = (reference: string): Promise<unknown> =>
  suite.crid.images.removeSecurityProfile({ digest: digestOf(reference) });
const digestOf = (reference: string): string => reference.split('@')[1] ?? '';
const imagesOf = async (): Promise<string[]> =>
  (await suite.crid.images.listImages({})).images.flatMap(({ repo_digests }) => repo_digests);

/** Removes all profiles after a test, and checks that nothing of them stays in containerd. */
function cleanUp(t: TestContext): void {
  t.after(async () => {
    for (const { digest } of await list()) await suite.crid.images.removeSecurityProfile({ digest });
    const stores = connect(`${NAMESPACE}${NAMESPACE_SUFFIX}`);
    const [records, leases] = [await stores.images.list([]), await stores.leases.list([])];
    stores.close();
    assert.deepEqual({ records, leases }, { records: [], leases: [] });
  });
}

test('a profile is pulled, listed apart from the images, present after kill -9, and removed', async (t) => {
  cleanUp(t);
  const images = await imagesOf();
  const reference = await pushProfile(refusing('chmod'));
  assert.deepEqual(await pull(reference), { cached: false });
  const [profile, ...others] = await list();
  assert.deepEqual([profile?.digest, profile?.refs, others], [digestOf(reference), [reference], []]);
  assert.ok((profile?.size ?? 0n) > 200n, `${profile?.size} bytes`);
  assert.deepEqual(await imagesOf(), images);
  assert.equal((await suite.crid.images.imageStatus({ image: { image: reference } })).image, undefined);
  assert.equal((await suite.crid.runtime.status({})).features?.seccomp_profile_oci, true);

  await suite.crid.kill9();
  await suite.crid.start();
  await suite.crid.settled();
  assert.deepEqual(await list(), [profile]);
  assert.deepEqual(await pull(reference), { cached: true });
  await remove(reference);
  assert.deepEqual(await list(), []);
  assert.deepEqual(await remove(reference), {});
  assert.deepEqual(await pull(reference), { cached: false });
});

test('a profile that is present needs no registry; each reference of it is listed', async (t) => {
  cleanUp(t);
  const proxy = await startProxy(suite.stack.registry.url);
  t.after(() => proxy.close());
  const digest = digestOf(await pushProfile(refusing('chown')));
  const [first, second] = [`${proxy.host}/crid-test/profile@${digest}`, `127.0.0.1:${await freePort()}/a/b@${digest}`];
  assert.deepEqual(await pull(first), { cached: false });
  const asked = proxy.requests.length;
  assert.ok(asked > 0);
  proxy.close();
  assert.deepEqual([await pull(first), await pull(second)], [{ cached: true }, { cached: true }]);
  assert.equal(proxy.requests.length, asked);
  assert.deepEqual(
    (await list()).map((each) => [each.digest, each.refs]),
    [[digest, [first, second].sort()]],
  );
  await remove(second);
  assert.deepEqual(await list(), []);
  assert.match((await failureOf(pull(first))).message, /^RegistryUnavailable: /);
});

test('concurrent pulls of one profile by several references', async (t) => {
  cleanUp(t);
  const reference = await pushProfile(refusing('fchmod'));
  const other = `docker.io/crid-test/profile:latest@${digestOf(reference)}`;
  const answers = await Promise.all([pull(reference), pull(reference), pull(other), pull(other)]);
  assert.equal(answers.filter(({ cached }) => !cached).length > 0, true);
  assert.deepEqual(
    (await list()).map(({ refs }) => refs),
    [[other, reference].sort()],
  );
});

test('bad requests and bad artifacts are refused for good, and leave nothing', async (t) => {
  cleanUp(t);
  const good = JSON.stringify(refusing('chmod'));
  const of = async (artifact: Artifact): Promise<string> => `docker.io/crid-test/profile@${await push(artifact)}`;
  const pinned = await of({ layers: [good] });
  const requests: [string, () => Promise<unknown>, string][] = [
    ['no reference', () => pull(''), 'image.image'],
    ['a tag', () => pull('docker.io/crid-test/profile:1'), 'has no digest'],
    ['no kind', () => pull(pinned, SecurityProfileKind.SecurityProfileKindUnspecified), 'profile_kind'],
    ['unknown kind', () => pull(pinned, 7 as SecurityProfileKind), 'profile_kind'],
    ['two layers', async () => pull(await of({ layers: [good, '{}'] })), '2 layers'],
    ['no layer', async () => pull(await of({ layers: [] })), '0 layers'],
    ['no JSON', async () => pull(await of({ layers: ['#!/bin/sh'] })), 'not JSON'],
    ['another document', async () => pull(await of({ layers: ['{"kind":"Pod"}'] })), 'unknown field "kind"'],
    [
      'a listener',
      async () => pull(await of({ layers: [JSON.stringify(refusing('x', { listenerPath: '/x' }))] })),
      'listenerPath',
    ],
    ['1 MiB and more', async () => pull(await of({ layers: [`${good}${' '.repeat(1 << 20)}`] })), 'larger than'],
    ['8 MiB', async () => pull(await of({ layers: [`${good}${' '.repeat(8 << 20)}`] })), 'larger than'],
    ['an index', async () => pull(await of({ layers: [good], asIndex: true })), 'is not a manifest'],
  ];
  for (const [name, call, text] of requests) {
    await t.test(name, async () => {
      const { code, message } = await failureOf(call());
      assert.deepEqual([code, message.startsWith('SecurityProfileInvalid: ')], ['INVALID_ARGUMENT', true], message);
      assert.ok(message.includes(text), message);
    });
  }
  const none = `docker.io/crid-test/profile@sha256:${'0'.repeat(64)}`;
  const others: BadRequest[] = [
    ['not in the registry', () => pull(none), 'NOT_FOUND', none],
    [
      'removal of no digest',
      () => suite.crid.images.removeSecurityProfile({ digest: '' }),
      'INVALID_ARGUMENT',
      'digest',
    ],
  ];
  for (const [name, call, ...expected] of others) await t.test(name, () => assertFails(call(), ...expected));
  assert.deepEqual(await list(), []);
});

const oci = (oci_ref: string, base?: string) => ({
  profile_type: OCI,
  oci_ref,
  ...(base !== undefined && { base_profile: { type: 1, localhost_ref: base } }),
});
const withSeccomp = (seccomp: ReturnType<typeof oci>): Container => ({ linux: { security_context: { seccomp } } });

/** Runs commands in a container and returns those that failed, with the last words of their error. */
async function failing(config: Container, commands: readonly string[]): Promise<Record<string, string>> {
  const id = await suite.pod.run(config);
  const failed: Record<string, string> = {};
  for (const command of commands) {
    const { stderr, exitCode } = await suite.pod.exec(id, ['sh', '-c', command]);
    if (exitCode !== 0) failed[command] = stderr.trim().split(': ').at(-1) ?? '';
  }
  await suite.crid.runtime.removeContainer({ container_id: id });
  return failed;
}

test('a container is refused what its profile or the base refuses, also once the profile is removed', async (t) => {
  cleanUp(t);
  const reference = await pushProfile(refusing('mkdir'));
  await pull(reference);
  const commands = ['mkdir /tmp/a', 'touch /tmp/b', 'unshare -U true', 'ln -s x /tmp/c'];
  assert.deepEqual(await failing(withSeccomp(oci(reference)), commands), {
    'mkdir /tmp/a': 'Protocol error',
    'unshare -U true': 'Operation not permitted',
  });
  const base = join(await mkdtemp(join(suite.stack.dir, 'seccomp-')), 'base.json');
  await writeFile(base, JSON.stringify(refusing('symlink')));
  assert.deepEqual(
    await failing(
      withSeccomp(oci(reference, base)),
      commands.filter((each) => !each.startsWith('unshare')),
    ),
    {
      'mkdir /tmp/a': 'Protocol error',
      'ln -s x /tmp/c': 'Protocol error',
    },
  );

  const id = await suite.pod.run(withSeccomp(oci(reference)));
  await remove(reference);
  assert.equal((await suite.pod.exec(id, ['mkdir', '/tmp/a'])).exitCode, 1);
  await suite.crid.runtime.removeContainer({ container_id: id });
});

test('a pod has a profile of its own; one that is not present fails the call and is not pulled', async (t) => {
  cleanUp(t);
  const reference = await pushProfile(refusing('rmdir'));
  const security_context = { seccomp: oci(reference) };
  const create = (seccomp: ReturnType<typeof oci>): Promise<unknown> =>
    suite.crid.runtime.createContainer({
      pod_sandbox_id: suite.pod.id,
      config: containerConfig(withSeccomp(seccomp)),
      sandbox_config: suite.pod.config,
    });
  const run = () => runPod(suite.crid, suite.stack, { linux: { security_context } });
  await assertFails(create(oci(reference)), 'NOT_FOUND', reference, 'is not present');
  await assertFails(run(), 'NOT_FOUND', reference, 'is not present');
  assert.deepEqual(await list(), []);
  await pull(reference);
  await (await run()).remove();
  await assertFails(
    create(oci(reference, '/no/such/file')),
    'INVALID_ARGUMENT',
    'base_profile.localhost_ref',
    '/no/such/file',
  );
  await assertFails(create(oci(reference.replace(/@.*/, ':1'))), 'INVALID_ARGUMENT', 'seccomp.oci_ref');
});
