import assert from 'node:assert/strict';
import { mkdtemp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { STAY, type Container } from '../manifest.js';
import type { PodHandle } from '../pod-handle.js';
import type { KubeletSuite } from '../suite.js';
import { until } from '../../../tools/stack/wait.js';
import { limitMs, limitSeconds } from '../../harness/slowness.js';

const GONE_LIMIT_MS = 120_000;

/** Tests of container hooks and of how pods end. */
export function hookTests(suite: KubeletSuite): void {
  /** Creates a folder on the host that outlives the pod. */
  async function diary(): Promise<{ read: () => Promise<string>; volume: object; mount: object }> {
    const path = await mkdtemp(join(suite.stack.dir, 'diary-'));
    return {
      read: () => readFile(join(path, 'diary'), 'utf8').catch(() => ''),
      volume: { name: 'diary', hostPath: { path } },
      mount: { name: 'diary', mountPath: '/diary' },
    };
  }
  const gone = async (pod: PodHandle): Promise<void> => {
    const uid = (await suite.pods()).find(({ metadata }) => metadata.name === pod.name)?.metadata.uid ?? '';
    assert.notEqual(uid, '');
    await pod.removeManifest();
    await until(`the kubelet has forgotten ${pod.name}`, limitMs(GONE_LIMIT_MS), async () =>
      (await suite.pods()).some(({ metadata }) => metadata.name === pod.name) ? undefined : true,
    );
    await until(`crid has no container of ${pod.name} running`, limitMs(GONE_LIMIT_MS), async () => {
      const filter = { label_selector: { 'io.kubernetes.pod.uid': uid }, state: { state: 1 } };
      const { containers } = await suite.crid.runtime.listContainers({ filter });
      return containers.length === 0 ? true : undefined;
    });
  };

  it('runs postStart and preStop in the container, and stops it only after them', async () => {
    const { read, volume, mount } = await diary();
    const say = (word: string): string => `echo ${word} >> /diary/diary`;
    const pod = await suite.pod('hooks', {
      volumes: [volume],
      containers: [
        {
          name: 'main',
          script: `trap "${say('TERM')}; exit 0" TERM; while :; do sleep 1000 & wait; done`,
          volumeMounts: [mount],
          lifecycle: {
            postStart: { exec: { command: ['sh', '-c', say('postStart')] } },
            preStop: { exec: { command: ['sh', '-c', `sleep 1; ${say('preStop')}`] } },
          },
        },
      ],
    });
    await pod.ready();
    assert.equal(await read(), 'postStart\n');
    await gone(pod);
    assert.equal(await read(), 'postStart\npreStop\nTERM\n');
  });

  it('restarts a container whose postStart fails', async () => {
    const pod = await suite.pod('hook-fails', {
      containers: [
        { name: 'main', lifecycle: { postStart: { exec: { command: ['sh', '-c', 'echo no reason >&2; exit 9'] } } } },
      ],
    });
    const { message } = await pod.event('FailedPostStartHook');
    assert.match(message, /PostStartHook failed/);
    await pod.container('main', 'has been started again', ({ restartCount }) => (restartCount > 0 ? true : undefined));
    suite.expect(/exited with 9: no reason/, 'the hook of this pod is there to fail');
  });

  it('waits for a container that stops slowly, and kills one that takes too long', async () => {
    const { read, volume, mount } = await diary();
    const slow = (name: string, seconds: number): Container => ({
      name,
      command: [
        ...['sh', '-c'],
        `trap "sleep ${seconds}; echo ${name} >> /diary/diary; exit 0" TERM; echo ready; while :; do sleep 1000 & wait; done`,
      ],
      volumeMounts: [mount],
    });
    const pod = await suite.pod('grace', {
      volumes: [volume],
      terminationGracePeriodSeconds: 6,
      containers: [slow('in-time', 2), slow('too-late', limitSeconds(60))],
    });
    for (const name of ['in-time', 'too-late']) await pod.logged(name, /ready/);
    await gone(pod);
    assert.equal(await read(), 'in-time\n');
  });

  it('creates the pod again when its manifest changes', async () => {
    const pod = await suite.pod('changed', { containers: [{ name: 'main', script: `echo one; ${STAY}` }] });
    await pod.logged('main', /one/);
    const first = await pod.id('main');
    await suite.pod('changed', { containers: [{ name: 'main', script: `echo two; ${STAY}` }] });
    await pod.logged('main', /two/);
    assert.notEqual(await pod.id('main'), first);
  });

  it('leaves nothing behind of a pod whose manifest is gone', async () => {
    const pod = await suite.pod('gone', { containers: [{ name: 'main' }] });
    await pod.ready();
    const uid = (await suite.pods()).find(({ metadata }) => metadata.name === pod.name)?.metadata.uid ?? '';
    await gone(pod);
    await until('the kubelet has collected what was left', limitMs(GONE_LIMIT_MS), async () => {
      const { items } = await suite.crid.runtime.listPodSandbox({
        filter: { label_selector: { 'io.kubernetes.pod.uid': uid } },
      });
      return items.length === 0 ? true : undefined;
    });
  });
}
