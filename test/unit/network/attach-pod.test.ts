import assert from 'node:assert/strict';
import { readFile, writeFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { answer, createLab, never, oneAddress, pod } from './fake-plugins.js';

const BRIDGE = { type: 'bridge', mtu: 1400 };
const PORTMAP = { type: 'portmap', capabilities: { portMappings: true, bandwidth: false } };
const LIST = { cniVersion: '1.0.0', name: 'net', plugins: [BRIDGE, PORTMAP] };
const PORTS = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp', hostIP: '' }] as const;
const GO_PORTS = [{ HostPort: 8080, ContainerPort: 80, Protocol: 'tcp', HostIP: '' }];
const RESULT = {
  cniVersion: '1.0.0',
  interfaces: [{ name: 'eth0', mac: '02:00:00:00:00:01', sandbox: '/proc/self/ns/net' }],
  ips: [{ address: '10.9.0.2/24', gateway: '10.9.0.1', interface: 0 }],
  routes: [{ dst: '0.0.0.0/0' }],
};

test('attach passes each plugin its configuration, the previous result and the capabilities it declares', async (t) => {
  const lab = await createLab(t);
  await Promise.all([lab.plugin('bridge'), lab.plugin('portmap'), lab.conf('10-net.conflist', LIST)]);
  const annotations = { 'kubernetes.io/ingress-bandwidth': '1M' };
  const { result, ips } = await lab.network().attach(pod({ portMappings: PORTS, annotations }), never());

  assert.deepEqual(
    {
      calls: await lab.calls(),
      bridge: await lab.input('bridge', 'ADD'),
      portmap: await lab.input('portmap', 'ADD'),
      variables: (await lab.variables('portmap', 'ADD')).filter((line) => !line.startsWith('CNI_PATH=')),
      ips,
      result,
    },
    {
      calls: ['ADD bridge eth0', 'ADD portmap eth0'],
      bridge: { ...BRIDGE, name: 'net', cniVersion: '1.0.0' },
      portmap: {
        ...PORTMAP,
        name: 'net',
        cniVersion: '1.0.0',
        prevResult: RESULT,
        runtimeConfig: { portMappings: GO_PORTS },
      },
      variables: [
        'CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=pod1;K8S_POD_UID=uid-1',
        'CNI_COMMAND=ADD',
        'CNI_CONTAINERID=pod1',
        'CNI_IFNAME=eth0',
        'CNI_NETNS=/proc/self/ns/net',
      ],
      ips: ['10.9.0.2'],
      result: {
        Interfaces: {
          eth0: {
            IPConfigs: [{ IP: '10.9.0.2', Gateway: '10.9.0.1' }],
            Mac: '02:00:00:00:00:01',
            Sandbox: '/proc/self/ns/net',
            PciID: '',
            SocketPath: '',
          },
          lo: { IPConfigs: null, Mac: '', Sandbox: '', PciID: '', SocketPath: '' },
        },
        DNS: [{}, {}],
        Routes: [{ dst: '0.0.0.0/0' }],
      },
    },
  );
});

test("the cache has libcni's fields, and detach works from it when the configuration has gone", async (t) => {
  const lab = await createLab(t);
  await Promise.all([lab.plugin('bridge'), lab.plugin('portmap'), lab.conf('10-net.conflist', LIST)]);
  const network = lab.network();
  await network.attach(pod({ portMappings: PORTS, annotations: { a: 'b' }, cgroupParent: '/kubepods' }), never());
  const cached: unknown = JSON.parse(await readFile(join(lab.cacheDir, 'results/net-pod1-eth0'), 'utf8'));
  assert.deepEqual(cached, {
    kind: 'cniCacheV1',
    containerId: 'pod1',
    config: Buffer.from(JSON.stringify(LIST)).toString('base64'),
    ifName: 'eth0',
    networkName: 'net',
    netns: '/proc/self/ns/net',
    cniArgs: [
      ['IgnoreUnknown', '1'],
      ['K8S_POD_NAMESPACE', 'default'],
      ['K8S_POD_NAME', 'web'],
      ['K8S_POD_INFRA_CONTAINER_ID', 'pod1'],
      ['K8S_POD_UID', 'uid-1'],
    ],
    capabilityArgs: {
      'io.kubernetes.cri.pod-annotations': { a: 'b' },
      portMappings: GO_PORTS,
      cgroupPath: '/kubepods',
    },
    result: RESULT,
  });

  await rm(join(lab.confDir, '10-net.conflist'));
  await network.detach(pod(), never());
  assert.deepEqual(
    {
      calls: (await lab.calls()).slice(2),
      portmap: await lab.input('portmap', 'DEL'),
      cached: await lab.cached(),
    },
    {
      calls: ['DEL portmap eth0', 'DEL bridge eth0'],
      portmap: {
        ...PORTMAP,
        name: 'net',
        cniVersion: '1.0.0',
        prevResult: RESULT,
        runtimeConfig: { portMappings: GO_PORTS },
      },
      cached: [],
    },
  );
  await network.detach(pod(), never());
  assert.equal((await lab.calls()).length, 4, 'nothing is left to delete');
});

test('several configurations create eth0, eth1 …, deleted in reverse, and serially if configured', async (t) => {
  const lab = await createLab(t);
  const second = answer({ cniVersion: '0.4.0', ips: [], interfaces: [{ name: 'eth1' }] });
  await Promise.all([lab.plugin('bridge'), lab.plugin('vlan', { add: second })]);
  await lab.conf('10-a.conflist', { ...LIST, plugins: [BRIDGE] });
  await lab.conf('20-b.conf', { cniVersion: '0.4.0', name: 'b', type: 'vlan' });
  const network = lab.network({ maxConfNum: 0, setupSerially: true });
  const { result } = await network.attach(pod(), never());
  await network.detach(pod({ netnsPath: '/gone' }), never());
  assert.deepEqual(
    {
      calls: await lab.calls(),
      interfaces: Object.keys(result.Interfaces),
      netns: (await lab.variables('bridge', 'DEL')).filter((line) => line.startsWith('CNI_NETNS')),
    },
    {
      calls: ['ADD bridge eth0', 'ADD vlan eth1', 'DEL vlan eth1', 'DEL bridge eth0'],
      interfaces: ['eth0', 'eth1', 'lo'],
      netns: ['CNI_NETNS='],
    },
  );
});

test('an address without a cached result is released with the current configuration', async (t) => {
  const lab = await createLab(t);
  await Promise.all([lab.plugin('bridge'), lab.conf('10-net.conflist', { ...LIST, plugins: [BRIDGE] })]);
  const network = lab.network();
  await network.attach(pod(), never());
  await writeFile(join(lab.cacheDir, 'results/net-pod1-eth0'), 'torn');
  await network.detach(pod(), never());
  assert.deepEqual([await lab.calls(), await lab.cached()], [['ADD bridge eth0', 'DEL bridge eth0'], []]);
});

test('a function that brings up loopback replaces the plugin', async (t) => {
  const lab = await createLab(t);
  await Promise.all([lab.plugin('bridge'), lab.conf('10-net.conflist', { ...LIST, plugins: [BRIDGE] })]);
  const up: string[] = [];
  const network = lab.network({ useInternalLoopback: true, bringUpLoopback: (netns) => void up.push(netns) });
  const { result } = await network.attach(pod(), never());
  assert.deepEqual(
    [up, Object.keys(result.Interfaces), await lab.cached()],
    [['/proc/self/ns/net'], ['eth0'], ['net-pod1-eth0']],
  );
});

test('two operations on one pod run one after the other', async (t) => {
  const lab = await createLab(t);
  await lab.plugin('bridge', { add: `sleep 0.3; echo "added" >> ${lab.dir}/seen/calls; ${oneAddress}` });
  await lab.conf('10-net.conflist', { ...LIST, plugins: [BRIDGE] });
  const network = lab.network();
  await Promise.all([network.attach(pod(), never()), network.detach(pod(), never())]);
  assert.deepEqual(await lab.calls(), ['ADD bridge eth0', 'added', 'DEL bridge eth0']);
});
