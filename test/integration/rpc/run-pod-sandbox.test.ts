import assert from 'node:assert/strict';
import { readFile, readlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { test } from 'node:test';
import { freePort } from '../../../tools/stack/ports.js';
import { until } from '../../../tools/stack/wait.js';
import { NamespaceMode, PodSandboxState, type PodSandboxConfig } from '../../../generated/runtime/v1/api.js';
import { podConfig, pullImage, runPod } from '../../harness/pod.js';
import { assertFails, startSuite, type BadRequest } from './suite.js';

const suite = startSuite();
const REACHED_WITHIN_MS = 10_000;

const run = (config: PodSandboxConfig, handler = ''): Promise<{ pod_sandbox_id: string }> =>
  suite.crid.runtime.runPodSandbox({ config, runtime_handler: handler });

test('bad requests are INVALID_ARGUMENT, the error names the field, and nothing is left behind', async (t) => {
  const good = await podConfig(suite.stack);
  const metadata = good.metadata!;
  const bad = (change: Partial<PodSandboxConfig>) => () => run({ ...good, ...change });
  const linux = (change: object) => bad({ linux: { ...good.linux!, ...change } });
  const requests: BadRequest[] = [
    ['no config', () => suite.crid.runtime.runPodSandbox({}), 'INVALID_ARGUMENT', 'config: '],
    ['no metadata', bad({ metadata: undefined }), 'INVALID_ARGUMENT', 'config.metadata'],
    ['no name', bad({ metadata: { ...metadata, name: '' } }), 'INVALID_ARGUMENT', 'config.metadata.name'],
    ['unknown handler', () => run(good, 'kata'), 'INVALID_ARGUMENT', '"kata"'],
    ['long hostname', bad({ hostname: 'h'.repeat(65) }), 'INVALID_ARGUMENT', 'config.hostname'],
    ['relative log directory', bad({ log_directory: 'logs' }), 'INVALID_ARGUMENT', 'config.log_directory'],
    ['sysctl of the host', linux({ sysctls: { 'kernel.panic': '1' } }), 'INVALID_ARGUMENT', 'kernel.panic'],
    ['cgroup parent', linux({ cgroup_parent: '/a/../../b' }), 'INVALID_ARGUMENT', 'config.linux.cgroup_parent'],
    [
      'DNS with a line break',
      bad({ dns_config: { servers: ['1.1.1.1\nnameserver 6.6.6.6'], searches: [], options: [] } }),
      'INVALID_ARGUMENT',
      'config.dns_config.servers[0]',
    ],
    [
      'port',
      bad({ port_mappings: [{ protocol: 0, container_port: 80, host_port: 70_000, host_ip: '' }] }),
      'INVALID_ARGUMENT',
      'config.port_mappings[0].host_port',
    ],
    ['label', bad({ labels: { 'containerd.io/gc.root': 'x' } }), 'INVALID_ARGUMENT', 'containerd.io/gc.root'],
  ];
  for (const [name, call, ...expected] of requests) await t.test(name, () => assertFails(call(), ...expected));
  assert.deepEqual((await suite.crid.runtime.listPodSandbox({})).items, []);
  await suite.assertNothingLeft();
});

test('a pod has an address of the network, its names, DNS, sysctls, labels and annotations', async () => {
  const labels = { app: 'web', 'example.com/tier': '' };
  const annotations = { note: 'two\nlines', 'example.com/x': '☃' };
  const pod = await runPod(suite.crid, suite.stack, {
    hostname: 'my-host',
    labels,
    annotations,
    dns_config: { servers: ['10.9.8.7', 'fd00::1'], searches: ['a.test', 'b.test'], options: ['ndots:5', 'edns0'] },
    linux: { sysctls: { 'net.ipv4.ip_local_port_range': '20000 30000', 'kernel.shm_rmid_forced': '1' } },
  });
  const id = await pod.run();
  const inside = async (...cmd: string[]): Promise<string> => (await pod.exec(id, cmd)).stdout;
  const { status } = await suite.crid.runtime.podSandboxStatus({ pod_sandbox_id: pod.id });
  const ip = status?.network?.ip ?? '';
  assert.match(ip, new RegExp(`^${suite.stack.bridge.subnet.split('.').slice(0, 2).join('\\.')}\\.`));
  assert.match(await inside('ip', '-o', '-4', 'addr', 'show', 'eth0'), new RegExp(` ${ip}/`));
  assert.deepEqual(
    {
      hostname: await inside('hostname'),
      hostnameFile: await inside('cat', '/etc/hostname'),
      resolv: await inside('cat', '/etc/resolv.conf'),
      ports: await inside('cat', '/proc/sys/net/ipv4/ip_local_port_range'),
      shm: await inside('cat', '/proc/sys/kernel/shm_rmid_forced'),
      status: { ...status, created_at: 0n, network: undefined },
    },
    {
      hostname: 'my-host\n',
      hostnameFile: 'my-host\n',
      resolv: 'search a.test b.test\nnameserver 10.9.8.7\nnameserver fd00::1\noptions ndots:5 edns0\n',
      ports: '20000\t30000\n',
      shm: '1\n',
      status: {
        id: pod.id,
        metadata: pod.config.metadata,
        state: PodSandboxState.SANDBOX_READY,
        created_at: 0n,
        network: undefined,
        linux: { namespaces: { options: pod.config.linux?.security_context?.namespace_options } },
        labels,
        annotations,
        runtime_handler: '',
      },
    },
  );
  await pod.remove();
});

test("a pod on the host's network has the host's interfaces and name, and no address of its own", async () => {
  const options = { network: NamespaceMode.NODE };
  const pod = await runPod(suite.crid, suite.stack, { linux: { security_context: { namespace_options: options } } });
  const id = await pod.run();
  const { status } = await suite.crid.runtime.podSandboxStatus({ pod_sandbox_id: pod.id });
  assert.deepEqual(
    {
      netns: (await pod.exec(id, ['readlink', '/proc/self/ns/net'])).stdout.trim(),
      hostname: (await pod.exec(id, ['hostname'])).stdout.trim(),
      resolv: (await pod.exec(id, ['cat', '/etc/resolv.conf'])).stdout,
      ip: status?.network?.ip,
      mode: status?.linux?.namespaces?.options?.network,
    },
    {
      netns: await readlink('/proc/self/ns/net'),
      hostname: hostname(),
      resolv: await readFile('/etc/resolv.conf', 'utf8'),
      ip: '',
      mode: NamespaceMode.NODE,
    },
  );
  await pod.remove();
});

test('a port mapping is reached over the port of the host, and ends with the pod', async () => {
  const image = 'registry.k8s.io/e2e-test-images/nginx:1.14-2';
  await pullImage(suite.crid, image);
  const port = await freePort();
  const mapping = { container_port: 80, host_port: port };
  const pod = await runPod(suite.crid, suite.stack, { port_mappings: [mapping] });
  await pod.run({ image: { image }, command: ['/usr/sbin/nginx', '80'] });
  const get = (): Promise<Response> => fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(1000) });
  const answer = await until('the pod answers', REACHED_WITHIN_MS, get);
  assert.equal(answer.status, 200);
  await answer.arrayBuffer();
  await pod.remove();
  await assert.rejects(get());
});

test('an equal request gets the same pod, during and after its creation; another config does not', async () => {
  const config = await podConfig(suite.stack, { labels: { a: '1' } });
  const both = await Promise.all([run(config), run(config)]);
  const again = await run(config);
  assert.deepEqual([both[1], again], [both[0], both[0]]);
  const id = again.pod_sandbox_id;
  await assertFails(
    run({ ...config, labels: { a: '2' } }),
    'ALREADY_EXISTS',
    config.metadata!.name,
    id,
    'another config',
  );
  assert.equal((await suite.crid.runtime.listPodSandbox({ filter: { id } })).items.length, 1);

  await suite.crid.runtime.stopPodSandbox({ pod_sandbox_id: id });
  await assertFails(run(config), 'ALREADY_EXISTS', id, 'not ready');
  await suite.crid.runtime.removePodSandbox({ pod_sandbox_id: id });
  const next = await run(config);
  assert.notEqual(next.pod_sandbox_id, id);
  await suite.crid.runtime.removePodSandbox(next);
});
