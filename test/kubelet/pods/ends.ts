import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { KubeletSuite } from '../suite.js';

/** Tests of how containers end and how that is reported. */
export function endTests(suite: KubeletSuite): void {
  it('reports that a container was OOM-killed, and restarts it', async () => {
    const pod = await suite.pod('oom', {
      containers: [
        {
          name: 'greedy',
          command: ['tail', '/dev/zero'],
          resources: { limits: { memory: '32Mi', cpu: '500m' }, requests: { memory: '16Mi', cpu: '10m' } },
        },
        { name: 'modest' },
      ],
    });
    const ended = await pod.container('greedy', 'was killed', ({ lastState }) => lastState?.terminated);
    assert.deepEqual([ended.reason, ended.exitCode], ['OOMKilled', 137]);
    const { containerStatuses } = await pod.status();
    assert.equal(containerStatuses?.find(({ name }) => name === 'modest')?.restartCount, 0);
  });

  it('backs off from a container that ends again and again', async () => {
    const pod = await suite.pod('crash-loop', { containers: [{ name: 'main', script: 'echo trying; exit 3' }] });
    // The status is no sure sign: since 1.35, the kubelet syncs such a pod next when its back-off has passed
    // (MinBackoffExpiration in its pod_workers.go), so the state may never be seen as waiting.
    await pod.event('BackOff', /^Back-off restarting failed container main in pod /);
    const ended = await pod.container('main', 'has ended three times', ({ restartCount, lastState }) =>
      restartCount >= 2 ? lastState?.terminated : undefined,
    );
    assert.deepEqual([ended.reason, ended.exitCode], ['Error', 3]);
    // The kubelet may just have removed the container that it named in between, so retry.
    await pod.logged('main', /^trying\n$/, '?previous=true');
  });

  it('passes on the termination message of a container', async () => {
    const pod = await suite.pod('last-words', {
      restartPolicy: 'Never',
      containers: [
        { name: 'file', script: 'echo -n from the file > /dev/termination-log; exit 1' },
        {
          name: 'other-path',
          script: 'echo -n from another file > /tmp/words; exit 0',
          terminationMessagePath: '/tmp/words',
        },
        {
          name: 'log',
          script: 'seq 3; echo from the log; exit 1',
          terminationMessagePolicy: 'FallbackToLogsOnError',
        },
        { name: 'nothing', script: 'echo not told; exit 1' },
      ],
    });
    const { containerStatuses } = await pod.until('has failed', (status) =>
      status.phase === 'Failed' ? status : undefined,
    );
    assert.deepEqual(
      containerStatuses
        ?.map(({ name, state }) => [name, state?.terminated?.exitCode, state?.terminated?.message])
        .sort(),
      [
        ['file', 1, 'from the file'],
        ['log', 1, '1\n2\n3\nfrom the log\n'],
        ['nothing', 1, undefined],
        ['other-path', 0, 'from another file'],
      ],
    );
  });

  it('reports a command that does not exist', async () => {
    const pod = await suite.pod('no-command', {
      restartPolicy: 'Never',
      containers: [{ name: 'main', command: ['/no/such'] }],
    });
    const ended = await pod.container('main', 'has ended', ({ state }) => state?.terminated);
    assert.deepEqual([ended.reason, ended.exitCode], ['StartError', 128]);
    assert.match(ended.message ?? '', /\/no\/such/);
    suite.expect(/\/no\/such/, 'the command of this pod is not there');
  });

  it('follows the restart policy', async () => {
    const pod = await suite.pod('on-failure', {
      restartPolicy: 'OnFailure',
      volumes: [{ name: 'count', emptyDir: {} }],
      containers: [
        { name: 'ends', script: 'true' },
        {
          name: 'second-time',
          script: 'test -e /count/seen || { touch /count/seen; exit 7; }',
          volumeMounts: [{ name: 'count', mountPath: '/count' }],
        },
      ],
    });
    const { containerStatuses } = await pod.until('has succeeded', (status) =>
      status.phase === 'Succeeded' ? status : undefined,
    );
    assert.deepEqual(containerStatuses?.map(({ name, restartCount }) => [name, restartCount]).sort(), [
      ['ends', 0],
      ['second-time', 1],
    ]);
  });
}
