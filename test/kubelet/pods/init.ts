import assert from 'node:assert/strict';
import { it } from 'node:test';
import { STAY, type Container } from '../manifest.js';
import { KUBELET_MINOR, type KubeletSuite } from '../suite.js';

const shared = { volumes: [{ name: 'shared', emptyDir: {} }] };
const volumeMounts = [{ name: 'shared', mountPath: '/shared' }];

/** Tests of init containers, including those that keep running (sidecars). */
export function initTests(suite: KubeletSuite): void {
  it('runs init containers one after another, then the others', async () => {
    const step = (name: string, script: string): Container => ({ name, script, volumeMounts });
    const pod = await suite.pod('init', {
      ...shared,
      initContainers: [
        step('first', 'sleep 1; echo first >> /shared/order'),
        step('second', 'echo second >> /shared/order'),
      ],
      containers: [step('main', `echo main >> /shared/order; cat /shared/order; ${STAY}`)],
    });
    const { initContainerStatuses } = await pod.ready();
    assert.equal(await pod.logged('main', /main/), 'first\nsecond\nmain\n');
    assert.deepEqual(
      initContainerStatuses?.map(({ state }) => [state?.terminated?.reason, state?.terminated?.exitCode]),
      [
        ['Completed', 0],
        ['Completed', 0],
      ],
    );
  });

  it('tries an init container again that has failed', async () => {
    const pod = await suite.pod('init-again', {
      ...shared,
      initContainers: [
        { name: 'second-time', script: 'test -e /shared/seen || { touch /shared/seen; exit 5; }', volumeMounts },
      ],
      containers: [{ name: 'main' }],
    });
    await pod.container('second-time', 'has failed once', ({ restartCount, lastState }) =>
      restartCount === 1 && lastState?.terminated?.exitCode === 5 ? true : undefined,
    );
    await pod.ready();
  });

  // GeneratePodStatus of kubelet 1.34 leaves out the active containers, so with events this pod stays Pending.
  const skip = suite.takesEvents && KUBELET_MINOR < 35 && 'kubelet 1.34 takes no active containers from events';
  it('keeps a sidecar running beside the others, and starts it again when it ends', { skip }, async () => {
    const pod = await suite.pod('sidecar', {
      ...shared,
      initContainers: [
        {
          name: 'sidecar',
          script: 'trap "exit 0" TERM; sleep 1; touch /shared/up; until test -e /tmp/end; do sleep 0.2; done',
          restartPolicy: 'Always',
          startupProbe: { exec: { command: ['test', '-e', '/shared/up'] }, periodSeconds: 1, failureThreshold: 60 },
          volumeMounts,
        },
      ],
      containers: [{ name: 'main', script: `ls /shared; ${STAY}`, volumeMounts }],
    });
    await pod.ready();
    assert.equal(await pod.logged('main', /./), 'up\n');
    const before = await pod.id('main');
    await pod.run('sidecar', 'touch /tmp/end');
    await pod.container('sidecar', 'runs again', ({ restartCount, state, ready }) =>
      restartCount === 1 && state?.running && ready ? true : undefined,
    );
    assert.equal(await pod.id('main'), before);
  });

  it('ends a sidecar after the last container, in a pod that completes', async () => {
    const pod = await suite.pod('sidecar-of-a-job', {
      restartPolicy: 'Never',
      initContainers: [
        {
          name: 'sidecar',
          script: 'trap "echo told to end; exit 0" TERM; while :; do sleep 1000 & wait; done',
          restartPolicy: 'Always',
        },
      ],
      containers: [{ name: 'job', script: 'sleep 1; echo done' }],
    });
    await pod.until('has succeeded', ({ phase }) => (phase === 'Succeeded' ? true : undefined));
    assert.equal(await pod.log('job'), 'done\n');
    assert.equal(await pod.log('sidecar'), 'told to end\n');
  });
}
