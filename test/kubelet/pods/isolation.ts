import assert from 'node:assert/strict';
import { readlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { once } from 'node:events';
import { networkInterfaces } from 'node:os';
import { it } from 'node:test';
import { freePort } from '../../../tools/stack/ports.js';
import { until } from '../../../tools/stack/wait.js';
import { limitMs } from '../../harness/slowness.js';
import type { KubeletSuite } from '../suite.js';

const CONNECT_LIMIT_MS = 60_000;
const TRY_LIMIT_MS = 2_000;
/** The script of a server that sends `here` to each client. */
const greet = (port: number | string): string =>
  `while :; do echo here | nc -l -p ${port}; done & trap "exit 0" TERM; wait`;

/** Tests of what containers share with each other and with the host, and of their permissions. */
export function isolationTests(suite: KubeletSuite): void {
  const answers = (host: string, port: number): Promise<true> =>
    until(`${host}:${port} answers`, limitMs(CONNECT_LIMIT_MS), async () => {
      const socket = connect({ host, port, timeout: TRY_LIMIT_MS });
      socket.once('timeout', () => socket.destroy(new Error('time-out')));
      const [data] = (await once(socket, 'data').finally(() => socket.destroy())) as [Buffer];
      return data.toString() === 'here\n' ? true : undefined;
    });

  it('runs a pod in the network of the host', async () => {
    const port = await freePort();
    const pod = await suite.pod('host-network', {
      hostNetwork: true,
      containers: [{ name: 'main', script: greet(port) }],
    });
    const { podIP, hostIP } = await pod.ready();
    assert.equal(podIP, hostIP);
    assert.equal(await pod.run('main', 'readlink /proc/1/ns/net'), `${await readlink('/proc/self/ns/net')}\n`);
    await answers('127.0.0.1', port);
  });

  it('makes a port of a pod reachable on the host', async () => {
    const hostPort = await freePort();
    const pod = await suite.pod('host-port', {
      containers: [{ name: 'main', script: greet(7777), ports: [{ containerPort: 7777, hostPort }] }],
    });
    const { podIP = '' } = await pod.ready();
    await answers(podIP, 7777);
    await answers(hostAddress(), hostPort);
    await answers('127.0.0.1', hostPort);
  });

  it('shares the process namespace of containers with the pod, the host, or nothing', async () => {
    const two = { containers: [{ name: 'a' }, { name: 'b', script: 'trap "exit 0" TERM; sleep 7401 & wait' }] };
    const shared = await suite.pod('shared-pids', { shareProcessNamespace: true, ...two });
    const apart = await suite.pod('own-pids', two);
    const host = await suite.pod('host-pids', { hostPID: true, hostIPC: true, ...two });
    for (const pod of [shared, apart, host]) await pod.ready();
    assert.equal(
      await shared.run('a', 'cat /proc/1/cmdline | tr -d "\\0"; pgrep -f "^sleep 7401" | wc -l'),
      '/pause1\n',
    );
    assert.equal(await apart.run('a', 'pgrep -f "^sleep 7401" | wc -l'), '0\n');
    for (const space of ['pid', 'ipc']) {
      const link = `${await readlink(`/proc/self/ns/${space}`)}\n`;
      assert.equal(await host.run('a', `readlink /proc/self/ns/${space}`), link);
      assert.notEqual(await apart.run('a', `readlink /proc/self/ns/${space}`), link);
    }
    assert.equal(await apart.run('a', 'readlink /proc/1/ns/ipc'), await apart.run('b', 'readlink /proc/1/ns/ipc'));
  });

  it('runs a container as the user, with the groups and rights that it names', async () => {
    const pod = await suite.pod('security', {
      securityContext: {
        runAsUser: 1234,
        runAsGroup: 2345,
        fsGroup: 3456,
        supplementalGroups: [4567],
        seccompProfile: { type: 'RuntimeDefault' },
        sysctls: [{ name: 'net.ipv4.ip_unprivileged_port_start', value: '80' }],
      },
      volumes: [{ name: 'disk', emptyDir: {} }],
      containers: [
        {
          name: 'main',
          securityContext: {
            readOnlyRootFilesystem: true,
            allowPrivilegeEscalation: false,
            capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] },
          },
          volumeMounts: [{ name: 'disk', mountPath: '/disk' }],
        },
        { name: 'other', securityContext: { runAsUser: 0, runAsGroup: 0, privileged: true } },
      ],
    });
    await pod.ready();
    assert.equal(await pod.run('main', 'echo $(id -u) $(id -g) $(id -G)'), '1234 2345 2345 3456 4567\n');
    const state = await pod.run('main', 'grep -E "^(NoNewPrivs|Seccomp|CapBnd):" /proc/self/status | tr -d "\\t"');
    assert.deepEqual(state.trim().split('\n').sort(), ['CapBnd:0000000000000400', 'NoNewPrivs:1', 'Seccomp:2']);
    await assert.rejects(pod.run('main', 'touch /file'), /Read-only file system/);
    assert.equal(await pod.run('main', 'touch /disk/file; stat -c %g /disk/file'), '3456\n');
    assert.equal(await pod.run('main', 'cat /proc/sys/net/ipv4/ip_unprivileged_port_start'), '80\n');
    assert.equal(
      await pod.run('other', 'id -u; grep -c "^Seccomp:.0" /proc/self/status; ls /dev/kmsg'),
      '0\n1\n/dev/kmsg\n',
    );
  });

  it('runs a pod in a user namespace of its own', async () => {
    const pod = await suite.pod('user-namespace', {
      hostUsers: false,
      volumes: [{ name: 'disk', emptyDir: {} }],
      containers: [{ name: 'main', volumeMounts: [{ name: 'disk', mountPath: '/disk' }] }],
    });
    await pod.ready();
    const [inside, outside, length] = (await pod.run('main', 'cat /proc/self/uid_map')).trim().split(/\s+/).map(Number);
    assert.deepEqual([inside, length], [0, 65_536]);
    assert.ok((outside ?? 0) >= 65_536, `root is ${outside} on the host`);
    assert.equal(await pod.run('main', 'id -u; touch /disk/file; stat -c %u /disk/file'), '0\n0\n');
  });
}

function hostAddress(): string {
  const all = Object.entries(networkInterfaces()).filter(([name]) => !name.startsWith('crid'));
  const found = all
    .flatMap(([, addresses]) => addresses ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal);
  assert.ok(found, 'the host has an address');
  return found.address;
}
