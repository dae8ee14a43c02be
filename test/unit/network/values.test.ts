import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capabilityArgs } from '../../../src/network/capability-args.js';
import { toCniResult } from '../../../src/network/cni-result.js';
import { compareVersions } from '../../../src/network/cni-version.js';
import { pluginEnvironment } from '../../../src/network/plugins.js';
import { podIps } from '../../../src/network/pod-ips.js';
import { parseQuantity } from '../../../src/network/quantity.js';
import { pod } from './fake-plugins.js';

test('quantities are read as Kubernetes reads them, rounded up', () => {
  const texts = [
    '10M',
    '1.5Ki',
    '100m',
    '3e6',
    '2E',
    '.5',
    '1.',
    '-1.5',
    '1n',
    '',
    '.',
    'M',
    '1 M',
    '1mi',
    '1e',
    '0x1',
  ];
  assert.deepEqual(
    texts.map((text) => parseQuantity(text)),
    [10_000_000n, 1536n, 1n, 3_000_000n, 2n * 10n ** 18n, 1n, 1n, -2n, 1n, ...Array<undefined>(7).fill(undefined)],
  );
});

test('bandwidth annotations become rates, with the other direction left at zero', () => {
  const of = (value: string): unknown =>
    capabilityArgs(pod({ annotations: { 'kubernetes.io/egress-bandwidth': value } })).bandwidth;
  assert.deepEqual(of('1.5M'), { IngressRate: 0, IngressBurst: 0, EgressRate: 1_500_000, EgressBurst: 4_294_967_295 });
  for (const [value, problem] of [
    ['fast', '"fast" is not a resource quantity'],
    ['999', '999 is unreasonably small (< 1kbit)'],
    ['1001T', '1001T is unreasonably large (> 1Pbit)'],
  ] as const) {
    const message = `config.annotations[kubernetes.io/egress-bandwidth]: ${problem}`;
    assert.throws(() => of(value), { code: 'INVALID_ARGUMENT', message });
  }
});

test('mappings without a host port are left out, DNS is passed on', () => {
  const dns = { servers: ['10.0.0.10'], searches: ['svc'], options: ['ndots:5'] };
  const portMappings = [{ hostPort: 0, containerPort: 80, protocol: 'udp', hostIP: '' }] as const;
  assert.deepEqual(capabilityArgs(pod({ dns, portMappings })), {
    'io.kubernetes.cri.pod-annotations': {},
    dns: { Servers: ['10.0.0.10'], Searches: ['svc'], Options: ['ndots:5'] },
  });
});

test('versions compare by number', () => {
  const versions = ['1.0.0', '0.10.0', '0.4.0', '1.1', 'x'];
  assert.deepEqual(versions.sort(compareVersions), ['x', '0.4.0', '0.10.0', '1.0.0', '1.1']);
});

test('plugins get the environment without secrets, and always a PATH', () => {
  assert.deepEqual(
    pluginEnvironment({
      HOME: '/root',
      KUBECONFIG: '/etc/k',
      CNI_NETNS: 'x',
      REGISTRY_PASSWORD: 'x',
      aws_secret_access_key: 'x',
      OTEL_EXPORTER_OTLP_HEADERS: 'x',
      NODE_OPTIONS: 'x',
      NODE_COMPILE_CACHE: 'x',
      CACHE_DIRECTORY: 'x',
      STATE_DIRECTORY: 'x',
      NOTIFY_SOCKET: 'x',
    }),
    {
      HOME: '/root',
      KUBECONFIG: '/etc/k',
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    },
  );
});

const none = { Mac: '', Sandbox: '', PciID: '', SocketPath: '' };

test('results of every version become the one that is kept', () => {
  const of = (result: Record<string, unknown>): unknown => toCniResult([{ network: 'net', result }]);
  const addresses = [
    { address: '10.1.0.5/16', gateway: '10.1.0.1', interface: 1 },
    { address: 'FD00:0:0::5/64', interface: 1 },
    { address: '::ffff:10.0.0.9/96' },
  ];
  assert.deepEqual(
    {
      modern: of({
        cniVersion: '1.1.0',
        interfaces: [
          { name: 'br0', mac: 'aa' },
          { name: 'eth0', mac: 'bb', sandbox: '/ns', pciID: 'p', socketPath: 's', mtu: 1500 },
        ],
        ips: addresses,
        routes: [{ dst: '0.0.0.0/0', gw: '10.1.0.1', mtu: 1400 }],
        dns: { nameservers: ['1.1.1.1'], domain: 'x', search: [], options: ['a'] },
      }),
      bare: of({ cniVersion: '0.3.1', ips: [{ version: '4', address: '10.1.0.5/16' }] }),
      old: of({
        cniVersion: '0.2.0',
        ip4: { ip: '10.1.0.5/16', gateway: '10.1.0.1', routes: [{ dst: '10.0.0.0/8' }] },
      }),
    },
    {
      modern: {
        Interfaces: {
          br0: { ...none, IPConfigs: null, Mac: 'aa' },
          eth0: {
            IPConfigs: [
              { IP: '10.1.0.5', Gateway: '10.1.0.1' },
              { IP: 'fd00::5', Gateway: '' },
              { IP: '10.0.0.9', Gateway: '' },
            ],
            Mac: 'bb',
            Sandbox: '/ns',
            PciID: 'p',
            SocketPath: 's',
          },
        },
        DNS: [{ nameservers: ['1.1.1.1'], domain: 'x', options: ['a'] }],
        Routes: [{ dst: '0.0.0.0/0', gw: '10.1.0.1', mtu: 1400 }],
      },
      bare: {
        Interfaces: { eth0: { ...none, IPConfigs: [{ IP: '10.1.0.5', Gateway: '' }] } },
        DNS: [{}],
        Routes: null,
      },
      old: {
        Interfaces: { eth0: { ...none, IPConfigs: [{ IP: '10.1.0.5', Gateway: '10.1.0.1' }] } },
        DNS: [{}],
        Routes: [{ dst: '10.0.0.0/8' }],
      },
    },
  );
  assert.throws(() => of({ ips: [{ address: '10.0.0.1/8', interface: 1 }] }), {
    message: 'invalid result of network net: ips[0].interface: 1 is not one of 0 interfaces',
  });
  assert.throws(() => of({ ips: [{ address: 'ten' }] }), {
    message: 'invalid result of network net: ips[0].address: "ten" is not an address',
  });
});

test('the preferred address comes first', () => {
  const IPConfigs = ['fd00::1', '10.0.0.1', '10.0.0.2'].map((IP) => ({ IP, Gateway: '' }));
  const result = { Interfaces: { eth0: { ...none, IPConfigs } }, DNS: null, Routes: null };
  assert.deepEqual(
    (['', 'ipv4', 'ipv6', 'cni'] as const).map((preference) => podIps(result, preference)),
    [
      ['10.0.0.1', 'fd00::1', '10.0.0.2'],
      ['10.0.0.1', 'fd00::1', '10.0.0.2'],
      ['fd00::1', '10.0.0.1', '10.0.0.2'],
      ['fd00::1', '10.0.0.1', '10.0.0.2'],
    ],
  );
});
