import assert from 'node:assert/strict';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createClientFactory, Metadata } from 'nice-grpc';
import type { Container } from '../../../generated/containerd/services/containers/v1/containers.js';
import { ContainersDefinition } from '../../../generated/containerd/services/containers/v1/containers.js';
import { NamespaceMode } from '../../../generated/runtime/v1/api.js';
import { cgroupParent, SYSTEMD_CGROUPS } from '../../../tools/stack/cgroup-driver.js';
import { openChannel } from '../../harness/cri-client.js';
import { podConfig, pullImage, runPod } from '../../harness/pod.js';
import { tinyImage } from '../images/tiny-image.js';
import { REPOSITORY, startRegistry } from '../images/tiny-registry.js';
import { assertFails, startSuite } from '../rpc/suite.js';
import { context, inside, testImage, value, type ContainerPart } from './rules.js';

/** Each test is named after a vulnerability of another CRI server, which it would reproduce. */
const suite = startSuite({
  withPod: true,
  crid: ({ runcPath }) => {
    const runc = { runtime_type: 'io.containerd.runc.v2', options: { BinaryName: runcPath } };
    const open = { ...runc, container_annotations: ['*', '*/*'], pod_annotations: ['*', '*/*'] };
    return { config: { runtime: { containerd: { runtimes: { open } } } } };
  },
});

const withImage = async (name: string, more: ContainerPart = {}): Promise<ContainerPart> => {
  await pullImage(suite.crid, testImage(name).image);
  return { ...more, image: testImage(name) };
};

/** Returns a container's record in containerd. */
async function recordOf(id: string): Promise<Container> {
  const channel = openChannel(suite.stack.containerd.socket);
  try {
    const options = { '*': { metadata: Metadata({ 'containerd-namespace': 'k8s.io' }) } };
    const { container } = await createClientFactory().create(ContainersDefinition, channel, options).get({ id });
    assert.ok(container);
    return container;
  } finally {
    channel.close();
  }
}

const specOf = async (id: string): Promise<{ annotations: Record<string, string>; linux: { cgroupsPath: string } }> =>
  JSON.parse(Buffer.from((await recordOf(id)).spec?.value ?? '').toString()) as {
    annotations: Record<string, string>;
    linux: { cgroupsPath: string };
  };

test('CVE-2024-40635: a USER of an image above 2^31 does not wrap to root', async () => {
  for (const name of ['user-above-int32', 'user-wraps-to-root', 'user-gid-wraps-to-root', 'user-negative']) {
    await assertFails(suite.pod.create(await withImage(name)), 'INVALID_ARGUMENT', 'USER');
  }
});

test('CVE-2023-25173, CVE-2022-2995: a process gets only its own groups', async () => {
  const groups = async (config: ContainerPart): Promise<string> =>
    inside(suite, suite.pod, config, 'grep ^Groups: /proc/self/status | cut -f2');
  assert.equal(await groups(context({ run_as_user: value(1234) })), '0');
  assert.equal(await groups(context({ run_as_user: value(1234), run_as_group: value(4321) })), '4321');
  assert.equal(await groups(await withImage('groups')), '2000 3000');
  assert.equal(await groups(await withImage('user-uid-and-group')), '100');
});

test('CVE-2022-23648: a VOLUME behind a link copies no file of the node', async () => {
  const files = await inside(
    suite,
    suite.pod,
    await withImage('volume-through-link'),
    'ls /escape; cat /escape/passwd',
  );
  const ofNode = (await readdir('/etc')).filter(
    (name) => !['passwd', 'group', 'hostname', 'hosts', 'resolv.conf'].includes(name),
  );
  const shown = files.split('\n');
  assert.deepEqual(
    ofNode.filter((name) => shown.includes(name)),
    [],
  );
  assert.match(files, /www-data:\/var\/www/);
});

test('CVE-2024-5154: links in an image are resolved inside it', async () => {
  const made = await stat('/tmp/made').catch(() => undefined);
  assert.equal(made, undefined);
  await inside(suite, suite.pod, await withImage('working-dir-through-link'), 'pwd').catch(() => undefined);
  assert.equal(await stat('/tmp/made').catch(() => undefined), undefined);
  // /etc/passwd of this image is a symbolic link up to the host's. Resolved within the image it leads to itself, and so
  // to no file.
  const named = await withImage('passwd-through-link', context({ run_as_username: 'messagebus' }));
  await assertFails(suite.pod.create(named), 'NOT_FOUND', 'messagebus');
});

test('CVE-2022-0811: the value of a sysctl sets no second one', async () => {
  const sysctls = { 'kernel.shm_rmid_forced': '1+kernel.core_pattern=|/bin/true #' };
  const config = await podConfig(suite.stack, { linux: { sysctls } });
  await assertFails(suite.crid.runtime.runPodSandbox({ config }), 'INVALID_ARGUMENT', 'kernel.shm_rmid_forced');
});

test('CVE-2024-3154: no wildcard matches properties of a systemd unit', async () => {
  const annotations = { 'org.systemd.property.ExecStartPre': "['/bin/true']", 'a.example/b': 'c', plain: 'd' };
  const pod = await runPod(suite.crid, suite.stack, { annotations }, 'open');
  for (const id of [pod.id, await pod.create({ annotations })]) {
    const spec = await specOf(id);
    assert.deepEqual(
      Object.keys(spec.annotations)
        .filter((key) => !key.startsWith('io.kubernetes.cri.'))
        .sort(),
      ['a.example/b', 'plain'],
    );
  }
  await pod.remove();
});

test('CVE-2025-47291: a container with a user namespace stays in the pod’s cgroup', async () => {
  const mapping = [{ host_id: 1_000_000, container_id: 0, length: 65_536 }];
  const userns = { namespace_options: { userns_options: { mode: NamespaceMode.POD, uids: mapping, gids: mapping } } };
  const parent = cgroupParent('crid-test-limits');
  const pod = await runPod(suite.crid, suite.stack, { linux: { cgroup_parent: parent, security_context: userns } });
  const id = await pod.run(context(userns));
  const path = SYSTEMD_CGROUPS ? `crid-test-limits.slice:cri-containerd:${id}` : `${parent}/${id}`;
  assert.equal((await specOf(id)).linux.cgroupsPath, path);
  const { info } = await suite.crid.runtime.containerStatus({ container_id: id, verbose: true });
  const { pid } = JSON.parse(info['info'] ?? '{}') as { pid: number };
  const paths = (await readFile(`/proc/${pid}/cgroup`, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => line.split(':')[2] ?? '');
  assert.deepEqual(
    paths.filter((path) => path !== '/' && !/\/crid-test-limits(\.slice)?\//.test(path)),
    [],
  );
  await pod.remove();
});

test('CVE-2026-53488: LABELs of an image are not labels of its container', async () => {
  for (const name of ['label-reserved', 'label-odd', 'label-too-long']) {
    const { labels } = await recordOf(await suite.pod.create(await withImage(name, { labels: { mine: 'yes' } })));
    assert.deepEqual(labels, { 'io.cri-containerd.kind': 'container', mine: 'yes' });
  }
});

test('CVE-2026-53492: an image cannot request CDI devices', async (t) => {
  const registry = await startRegistry();
  t.after(() => registry.close());
  const asked = { 'cdi.k8s.io/crid-test': 'vendor.example/gpu=one' };
  registry.put('latest', tinyImage({ labels: asked, annotations: asked }));
  const image = `${registry.host}/${REPOSITORY}:latest`;
  await pullImage(suite.crid, image);
  // No CDI spec defines this device, so a request for it fails.
  await assert.rejects(suite.pod.create({ annotations: asked }), /vendor\.example\/gpu=one/);
  const pod = await runPod(suite.crid, suite.stack, {}, 'open');
  for (const id of [await suite.pod.create({ image: { image } }), await pod.create({ image: { image } })]) {
    assert.deepEqual(
      Object.keys((await specOf(id)).annotations).filter((key) => key.startsWith('cdi.')),
      [],
    );
  }
  await pod.remove();
});

test('CVE-2021-21334: containers of one image, created at once, share nothing', async () => {
  const said = await Promise.all(
    ['a', 'b', 'c', 'd'].map(async (name) => {
      const id = await suite.pod.run({
        envs: [
          { key: 'MINE', value: Buffer.from(name) },
          { key: name, value: Buffer.from('x') },
        ],
      });
      return (await suite.pod.exec(id, ['sh', '-c', 'echo $MINE $a$b$c$d'])).stdout;
    }),
  );
  assert.deepEqual(said, ['a x\n', 'b x\n', 'c x\n', 'd x\n']);
});

test('CVE-2022-4318, CVE-2026-15809: HOME with a line break adds no line to passwd', async () => {
  const envs = [{ key: 'HOME', value: Buffer.from('/root\nevil:x:0:0::/:/bin/sh') }];
  const ofImage = await inside(suite, suite.pod, {}, 'cat /etc/passwd');
  // A uid that the image does not know: for such a user a server may add a line.
  const stranger = context({ run_as_user: value(1234) });
  assert.equal(
    await inside(suite, suite.pod, { envs, ...stranger }, 'echo "$HOME"; cat /etc/passwd'),
    `/root\nevil:x:0:0::/:/bin/sh\n${ofImage}`,
  );
  await assertFails(
    suite.pod.create({ envs: [{ key: 'HOME\nevil', value: Buffer.from('') }] }),
    'INVALID_ARGUMENT',
    'envs[0].key',
  );
});

test('CVE-2025-0750: a log path does not leave the pod’s directory', async () => {
  for (const log_path of ['../out.log', 'a/../../out.log', '/etc/out.log']) {
    const call = suite.pod.create({ log_path });
    if (log_path.startsWith('/')) await call.catch(() => undefined);
    else await assertFails(call, 'INVALID_ARGUMENT', 'log_path');
  }
  assert.ok(!(await readdir('/etc')).includes('out.log'));
});

test('CVE-2024-25621: other users cannot read the directories of pods and containers', async () => {
  const id = await suite.pod.run(await withImage('volumes'));
  const { root, state } = suite.stack.containerd;
  const cri = [root, state].map((base) => join(base, 'io.containerd.grpc.v1.cri'));
  const folders = cri.flatMap((base) => [join(base, 'sandboxes', suite.pod.id), join(base, 'containers', id)]);
  for (const folder of folders) assert.equal((await stat(folder)).mode & 0o777, 0o700, folder);
  await suite.pod.run({ mounts: [{ container_path: '/image', image: testImage('volumes'), readonly: true }] });
  const volumes = join(cri[1] ?? '', 'image-volumes', suite.pod.id);
  assert.equal((await stat(volumes)).mode & 0o777, 0o700);
});
