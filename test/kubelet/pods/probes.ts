import assert from 'node:assert/strict';
import { it } from 'node:test';
import { STAY, type Container } from '../manifest.js';
import type { KubeletSuite } from '../suite.js';

const HTTP_PORT = 8080;
const GRPC_PORT = 9090;
/** The script of a web server. Each container of a pod uses another port, because they share a network. */
const serve = (port: number): string => `mkdir -p /www; echo ok > /www/ok; httpd -f -p ${port} -h /www & wait`;

/** Probes that succeed, by kind. */
const good = {
  exec: { exec: { command: ['test', '-d', '/tmp'] } },
  http: { httpGet: { path: '/ok', port: HTTP_PORT } },
  tcp: { tcpSocket: { port: HTTP_PORT } },
  grpc: { grpc: { port: GRPC_PORT } },
};
type Kind = keyof typeof good;
const KINDS = Object.keys(good) as Kind[];
const often = { periodSeconds: 1, failureThreshold: 30 };

/**
 * Probes that fail, by kind: the command fails, the page is missing, no server listens on the TCP port, and the gRPC
 * server returns NOT_SERVING.
 */
const bad: Readonly<Record<Kind, object>> = {
  exec: { exec: { command: ['false'] } },
  http: { httpGet: { path: '/missing', port: HTTP_PORT } },
  tcp: { tcpSocket: { port: 81 } },
  grpc: { grpc: { port: GRPC_PORT + 1 } },
};

export function probeTests(suite: KubeletSuite): void {
  const grpcServer = (name: string, port: number, more: object = {}): Container => ({
    name,
    image: suite.grpcImage,
    command: ['/grpc-health', String(port), '/tmp/not-serving'],
    ...more,
  });

  it('finds containers alive, ready and started by probes of every kind', async () => {
    const probed = (kind: Kind): object =>
      Object.fromEntries(
        ['startupProbe', 'livenessProbe', 'readinessProbe'].map((name) => [name, { ...good[kind], ...often }]),
      );
    const pod = await suite.pod('probes-good', {
      containers: [
        { name: 'server', script: serve(HTTP_PORT) },
        grpcServer('grpc', GRPC_PORT, probed('grpc')),
        ...KINDS.filter((kind) => kind !== 'grpc').map((kind) => ({ name: kind, ...probed(kind) })),
      ],
    });
    const { containerStatuses } = await pod.ready();
    assert.deepEqual(
      containerStatuses?.map(({ name, started, ready, restartCount }) => [name, started, ready, restartCount]).sort(),
      [...KINDS, 'server'].sort().map((name) => [name, true, true, 0]),
    );
  });

  for (const kind of KINDS) {
    it(`restarts a container whose ${kind} liveness probe fails`, async () => {
      const pod = await suite.pod(`liveness-${kind}`, {
        containers: [
          {
            name: 'main',
            script: serve(HTTP_PORT),
            ...(kind === 'grpc' && grpcServer('main', GRPC_PORT)),
            livenessProbe: { ...bad[kind], periodSeconds: 1, failureThreshold: 1 },
          },
        ],
        terminationGracePeriodSeconds: 1,
      });
      await pod.event('Unhealthy', /^Liveness probe (failed|errored)/);
      await pod.event('Killing', /failed liveness probe/);
      await pod.container('main', 'has been started again', ({ restartCount }) =>
        restartCount > 0 ? true : undefined,
      );
    });
  }

  it('takes a container out, and in again, by its readiness', async () => {
    const pod = await suite.pod('readiness', {
      containers: [
        {
          name: 'exec',
          script: `touch /tmp/ready; ${STAY}`,
          readinessProbe: { exec: { command: ['cat', '/tmp/ready'] }, periodSeconds: 1, failureThreshold: 1 },
        },
        {
          name: 'http',
          script: serve(HTTP_PORT),
          readinessProbe: { ...good.http, periodSeconds: 1, failureThreshold: 1 },
        },
      ],
    });
    await pod.ready();
    await pod.run('exec', 'rm /tmp/ready');
    await pod.run('http', 'mv /www/ok /www/away');
    for (const name of ['exec', 'http'])
      await pod.container(name, 'not ready', ({ ready }) => (ready ? undefined : true));
    await pod.event('Unhealthy', /No such file/);
    await pod.event('Unhealthy', /statuscode: 404/);
    await pod.run('exec', 'touch /tmp/ready');
    await pod.run('http', 'mv /www/away /www/ok');
    const { containerStatuses } = await pod.ready();
    assert.deepEqual(
      containerStatuses?.map(({ restartCount }) => restartCount),
      [0, 0],
    );
  });

  it('hears gRPC answers of both kinds', async () => {
    const flag = { name: 'flag', mountPath: '/tmp' };
    const readinessProbe = { grpc: { port: GRPC_PORT }, periodSeconds: 1, failureThreshold: 1 };
    const pod = await suite.pod('readiness-grpc', {
      volumes: [{ name: 'flag', emptyDir: {} }],
      containers: [
        grpcServer('grpc', GRPC_PORT, { volumeMounts: [flag], readinessProbe }),
        { name: 'shell', volumeMounts: [flag] },
      ],
    });
    await pod.ready();
    await pod.run('shell', 'touch /tmp/not-serving');
    await pod.container('grpc', 'not ready', ({ ready }) => (ready ? undefined : true));
    await pod.event('Unhealthy', /NOT_SERVING/);
    await pod.run('shell', 'rm /tmp/not-serving');
    await pod.ready();
  });

  it('gives a container up that does not start in time, and asks nothing else of it before', async () => {
    const pod = await suite.pod('startup', {
      containers: [
        {
          name: 'main',
          startupProbe: { exec: { command: ['false'] }, periodSeconds: 1, failureThreshold: 2 },
          livenessProbe: {
            exec: { command: ['sh', '-c', 'echo asked >&2; exit 1'] },
            periodSeconds: 1,
            failureThreshold: 1,
          },
        },
      ],
    });
    await pod.container('main', 'has been started again', ({ restartCount }) => (restartCount > 0 ? true : undefined));
    await pod.event('Killing', /failed startup probe/);
    const asked = (await pod.events()).filter(({ message }) => message.includes('asked'));
    assert.deepEqual(asked, []);
  });

  it('ends a probe that takes too long, and all that it has started', async () => {
    const pod = await suite.pod('probe-timeout', {
      containers: [
        {
          name: 'main',
          readinessProbe: {
            exec: {
              command: ['sh', '-c', 'echo >> /tmp/probes; wc -l < /tmp/probes > /proc/1/fd/1; sleep 7301 & sleep 7302'],
            },
            periodSeconds: 2,
            timeoutSeconds: 1,
          },
        },
      ],
    });
    await pod.event('Unhealthy', /timed out/);
    // Each probe logs its number before it hangs.
    await pod.logged('main', /^4$/m);
    suite.expect(/timeout of \d+ s exceeded, command killed/, 'the probe of this pod takes too long');
    const left = await pod.run('main', 'pgrep -f "^sleep 730" | wc -l');
    assert.ok(Number(left) <= 2, `${left} processes of probes: at most those of one`);
  });
}
