import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ContainerConfig, Signal } from '../../../generated/runtime/v1/api.js';
import { signalNumber } from '../../../src/base/signals.js';
import { containerAnnotations, passedAnnotations, sandboxAnnotations } from '../../../src/spec/annotations.js';
import { cdiDeviceNames, withCdiEdits } from '../../../src/spec/cdi/cdi.js';
import { buildContainerSpec } from '../../../src/spec/container-spec.js';
import { containerLogPath } from '../../../src/spec/log-path.js';
import { parseSpec, resourcesAny, specAny, specToJson } from '../../../src/spec/spec-json.js';
import { stopSignalOf } from '../../../src/spec/stop-signal.js';
import { containerInput, podConfig, refusal } from './inputs.js';

test('annotations: passed through by patterns in which * stops at a slash', () => {
  const annotations = { 'a.io/x': '1', 'a.io/y/z': '2', b: '3', 'c-5': '4', 'd*': '5' };
  const names = (...patterns: string[]): string[] => Object.keys(passedAnnotations(annotations, patterns));
  assert.deepEqual(
    [
      names(),
      names('a.io/*'),
      names('*'),
      names('a.io/?', 'b'),
      names('c-[0-9]', 'd\\*'),
      names('c-[^0-9]'),
      names('c-[0'),
    ],
    [[], ['a.io/x'], ['b', 'c-5', 'd*'], ['a.io/x', 'b'], ['c-5', 'd*'], [], []],
  );
});

test('annotations: a passed annotation cannot replace one of the CRI', () => {
  const passed = {
    'io.kubernetes.cri.sandbox-id': 'other',
    'io.kubernetes.cri.container-type': 'container',
    'io.kubernetes.cri.sandbox-cpu-quota': '1000000',
    'io.kubernetes.cri.sandbox-memory': '1',
    'io.containerd.runc.v2.group': 'other',
    mine: '1',
  };
  assert.deepEqual(sandboxAnnotations({ podId: 'p1', pod: podConfig(), imageName: 'pause', passed }), {
    mine: '1',
    'io.kubernetes.cri.container-type': 'sandbox',
    'io.kubernetes.cri.podsandbox.image-name': 'pause',
    'io.kubernetes.cri.sandbox-id': 'p1',
    'io.kubernetes.cri.sandbox-log-directory': '/var/log/pods/web',
    'io.kubernetes.cri.sandbox-name': 'web',
    'io.kubernetes.cri.sandbox-namespace': 'shop',
    'io.kubernetes.cri.sandbox-uid': 'uid-1',
  });
  const pod = podConfig({ linux: { resources: { cpu_quota: 5n, memory_limit_in_bytes: 7n } } });
  const limited = sandboxAnnotations({ podId: 'p1', pod, imageName: 'pause', passed });
  assert.deepEqual(
    ['cpu-quota', 'memory'].map((name) => limited[`io.kubernetes.cri.sandbox-${name}`]),
    ['5', '7'],
  );
  const ofContainer = containerAnnotations({ podId: 'p1', pod, containerName: 'c', imageName: 'i', passed });
  assert.equal(ofContainer['io.kubernetes.cri.sandbox-memory'], undefined);
});

test('log path: below the directory, or none', () => {
  assert.deepEqual(
    [
      containerLogPath('/logs/pod', 'nginx/0.log'),
      containerLogPath('/logs/pod', '/0.log'),
      containerLogPath('', '0.log'),
      containerLogPath('/logs', ''),
      refusal(() => containerLogPath('logs', '0.log')),
      refusal(() => containerLogPath('/logs', './')),
    ],
    [
      '/logs/pod/nginx/0.log',
      '/logs/pod/0.log',
      undefined,
      undefined,
      'INVALID_ARGUMENT sandbox_config.log_directory: must be absolute',
      'INVALID_ARGUMENT config.log_path: "./" does not name a file',
    ],
  );
});

test('stop signal: the request, else the image, else SIGTERM', () => {
  const of = (stop_signal: Signal, StopSignal = ''): string =>
    stopSignalOf({ stop_signal }, { config: { StopSignal } });
  assert.deepEqual(
    [
      of(Signal.SIGNAL_RUNTIME_DEFAULT),
      of(Signal.SIGNAL_RUNTIME_DEFAULT, 'quit'),
      of(Signal.SIGNAL_RUNTIME_DEFAULT, '3'),
      of(Signal.SIGNAL_RUNTIME_DEFAULT, 'SIGFOO'),
      of(Signal.SIGNAL_RUNTIME_DEFAULT, '99'),
      of(Signal.SIGNAL_SIGUSR1, 'SIGQUIT'),
      of(Signal.SIGNAL_SIGRTMINPLUS3),
      of(Signal.SIGNAL_SIGRTMAXMINUS2),
    ],
    ['SIGTERM', 'SIGQUIT', '3', 'SIGTERM', 'SIGTERM', 'SIGUSR1', 'SIGRTMIN+3', 'SIGRTMAX-2'],
  );
  const names = [
    'SIGTERM',
    'kill',
    '9',
    'SIGRTMIN+3',
    'RTMAX-2',
    'SIGPOLL',
    'SIGSYS',
    'SIGWINCH',
    '0',
    '65',
    'SIGNONE',
    'SIGRTMIN+40',
  ];
  assert.deepEqual(names.map(signalNumber), [15, 9, 9, 37, 62, 29, 31, 28, undefined, undefined, undefined, undefined]);
});

test('JSON: integers beyond 2^53 stay exact in both directions', () => {
  const spec = buildContainerSpec(containerInput());
  spec.linux.resources.memory = { limit: 2n ** 63n - 1n, swap: -1n };
  assert.deepEqual(
    [
      specToJson({ a: 2n ** 63n - 1n, b: undefined }),
      parseSpec(specAny(spec)),
      new TextDecoder().decode(resourcesAny({ cpu: { quota: -1n } }).value),
    ],
    ['{"a":9223372036854775807}', spec, '{"cpu":{"quota":-1}}'],
  );
});

test('CDI: names from the field, then from annotations, each once', () => {
  const config = ContainerConfig.fromPartial({
    CDI_devices: [{ name: 'v.io/gpu=0' }, { name: 'v.io/gpu=1' }],
    annotations: { 'cdi.k8s.io/b': 'v.io/gpu=2', 'cdi.k8s.io/a': 'v.io/gpu=1,v.io/net=eth0', other: 'v.io/gpu=9' },
  });
  assert.deepEqual(
    [
      cdiDeviceNames(config),
      refusal(() => cdiDeviceNames({ CDI_devices: [{ name: 'gpu0' }], annotations: {} })),
      refusal(() => cdiDeviceNames({ CDI_devices: [], annotations: { 'cdi.k8s.io/a': 'x=1' } })),
    ],
    [
      ['v.io/gpu=0', 'v.io/gpu=1', 'v.io/net=eth0', 'v.io/gpu=2'],
      'INVALID_ARGUMENT config.CDI_devices[0].name: "gpu0" is not a qualified device name (vendor/class=device)',
      'INVALID_ARGUMENT config.annotations[cdi.k8s.io/a]: "x=1" is not a qualified device name (vendor/class=device)',
    ],
  );
});

test('CDI: edits are applied to the whole spec, and the original spec does not change', () => {
  const spec = buildContainerSpec(containerInput({ user: { uid: 5, gid: 6, additionalGids: [6], username: '' } }));
  const before = structuredClone(spec);
  const edited = withCdiEdits(spec, [
    {
      env: ['GPU=0', 'LANG=de'],
      deviceNodes: [{ path: '/dev/gpu0', type: 'c', major: 195, minor: 0, permissions: 'rw' }],
      mounts: [{ hostPath: '/lib/gpu', containerPath: '/etc/hosts', options: ['ro', 'bind'] }],
      hooks: [{ hookName: 'createContainer', path: '/bin/hook', args: ['hook', 'x'], timeout: 5 }],
      additionalGids: [44, 6],
    },
    {
      hooks: [{ hookName: 'createContainer', path: '/bin/second' }],
      netDevices: [{ hostInterfaceName: 'eth9', name: 'eth1' }],
    },
  ]);
  assert.deepEqual(spec, before);
  assert.deepEqual(edited, {
    ...before,
    process: {
      ...before.process,
      env: [...before.process.env.filter((line) => !line.startsWith('LANG')).slice(0, 2), 'LANG=de', 'GPU=0'],
      user: { uid: 5, gid: 6, additionalGids: [6, 44] },
    },
    mounts: [
      ...before.mounts.filter(({ destination }) => destination !== '/etc/hosts'),
      { destination: '/etc/hosts', source: '/lib/gpu', options: ['ro', 'bind'] },
    ],
    hooks: { createContainer: [{ path: '/bin/hook', args: ['hook', 'x'], timeout: 5 }, { path: '/bin/second' }] },
    linux: {
      ...before.linux,
      devices: [{ path: '/dev/gpu0', type: 'c', major: 195, minor: 0, uid: 5, gid: 6 }],
      netDevices: { eth9: { name: 'eth1' } },
      resources: {
        ...before.linux.resources,
        devices: [
          { allow: false, access: 'rwm' },
          { allow: true, type: 'c', major: 195, minor: 0, access: 'rw' },
        ],
      },
    },
  });
});

test('CDI: of nested mounts, the outer one comes first, whatever their order', () => {
  const paths = ['/x/y', '/b', '/x', '/b/./c'];
  const mounts = paths.map((containerPath) => ({ hostPath: '/lib', containerPath }));
  const edited = withCdiEdits(buildContainerSpec(containerInput()), [{ mounts }]);
  const added = edited.mounts.map(({ destination }) => destination).filter((path) => paths.includes(path));
  assert.deepEqual(added, ['/b', '/x', '/x/y', '/b/./c']);
});
