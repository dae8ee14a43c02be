import assert from 'node:assert/strict';
import { it } from 'node:test';
import { until } from '../../../tools/stack/wait.js';
import { kubeletGet } from '../../harness/kubelet-api.js';
import { IS_PINNED } from '../../harness/sandboxer.js';
import { limitMs } from '../../harness/slowness.js';
import { STAY } from '../manifest.js';
import type { KubeletSuite } from '../suite.js';

/** The fields of the kubelet's Summary (k8s.io/kubelet, stats/v1alpha1) that the tests read. */
interface Summary {
  readonly node: { readonly cpu: Cpu; readonly memory: Memory; readonly fs: Fs; readonly runtime: { imageFs: Fs } };
  readonly pods: readonly {
    readonly podRef: { readonly name: string };
    readonly cpu?: Cpu;
    readonly memory?: Memory;
    readonly network?: { readonly rxBytes: number; readonly txBytes: number };
    readonly volume?: readonly { readonly name: string; readonly usedBytes: number }[];
    readonly containers: readonly { name: string; cpu?: Cpu; memory?: Memory; rootfs?: Fs; logs?: Fs }[];
  }[];
}
interface Cpu {
  readonly usageNanoCores: number;
  readonly usageCoreNanoSeconds: number;
}
interface Memory {
  readonly workingSetBytes: number;
  readonly rssBytes: number;
}
interface Fs {
  readonly usedBytes: number;
  readonly capacityBytes: number;
}

const MIB = 1024 * 1024;
const FIGURES_LIMIT_MS = 120_000;

/** Configuration that `statsTests` needs: by default the kubelet measures volumes once a minute. */
export const OFTEN_VOLUMES = { volumeStatsAggPeriod: '5s' };

/** Tests of resource usage, which autoscalers and `kubectl top` read. */
export function statsTests(suite: KubeletSuite): void {
  it('reports the usage of a pod', async () => {
    const pod = await suite.pod('stats', {
      volumes: [{ name: 'disk', emptyDir: {} }],
      containers: [
        {
          name: 'busy',
          script: 'while :; do :; done',
          resources: { limits: { cpu: '100m' }, requests: { cpu: '1m' } },
        },
        {
          name: 'full',
          script: [
            `dd if=/dev/zero of=/file bs=1M count=8; dd if=/dev/zero of=/disk/file bs=1M count=4; seq 10000`,
            `(head -c ${20 * MIB} /dev/zero; sleep 1000) | tail -c ${20 * MIB} & ${STAY}`,
          ].join('\n'),
          volumeMounts: [{ name: 'disk', mountPath: '/disk' }],
        },
      ],
    });
    await pod.ready();
    // cadvisor takes it from the pause container; without one, only a runtime's statistics have it.
    const hasNetwork = !IS_PINNED || suite.takesEvents;
    // The values are samples from different times. The volume's may be from when its file was still being written, so
    // retry.
    await until(
      `right figures of ${pod.name}`,
      limitMs(FIGURES_LIMIT_MS),
      async () => {
        const summary = JSON.parse(await kubeletGet(suite.kubelet.url, '/stats/summary')) as Summary;
        const found = summary.pods.find(({ podRef }) => podRef.name === pod.name);
        const wrong = Object.entries(figuresOf(found, summary.node, hasNetwork)).filter(([, isRight]) => !isRight);
        assert.deepEqual(wrong, [], JSON.stringify({ found, node: summary.node }));
        return true;
      },
      2000,
    );
  });

  it('has metrics of containers, by their pods', async () => {
    const pod = await suite.pod('metrics', { containers: [{ name: 'main', script: 'while :; do sleep 0.01; done' }] });
    await pod.ready();
    for (const metric of ['container_cpu_usage_seconds_total', 'container_memory_working_set_bytes']) {
      const value = await until(
        `${metric} of ${pod.name}`,
        limitMs(FIGURES_LIMIT_MS),
        async () => {
          const lines = (await kubeletGet(suite.kubelet.url, '/metrics/cadvisor')).split('\n');
          const line = lines.find(
            (each) =>
              each.startsWith(`${metric}{`) && each.includes('container="main"') && each.includes(`pod="${pod.name}"`),
          );
          if (line === undefined)
            throw new Error(
              lines
                .filter((each) => each.startsWith(metric))
                .join('\n')
                .slice(0, 3000),
            );
          return Number(line.split(' ')[1]) || undefined;
        },
        2000,
      );
      assert.ok(value > 0, `${metric}: ${value}`);
    }
  });
}

/** Returns which values are in the expected range, for a pod as the first test creates it. */
function figuresOf(
  pod: Summary['pods'][number] | undefined,
  node: Summary['node'],
  hasNetwork: boolean,
): Record<string, boolean> {
  const busy = pod?.containers.find(({ name }) => name === 'busy');
  const full = pod?.containers.find(({ name }) => name === 'full');
  const disk = pod?.volume?.find(({ name }) => name === 'disk');
  const between = (value: number | undefined, low: number, high: number): boolean =>
    value !== undefined && value >= low && value <= high;
  return {
    'a tenth of a processor, less where others take it': between(busy?.cpu?.usageNanoCores, 1e7, 2e8),
    'processor time so far': between(busy?.cpu?.usageCoreNanoSeconds, 1e8, Infinity),
    'memory of the full one': between(full?.memory?.workingSetBytes, 20 * MIB, 80 * MIB),
    'memory of the busy one': between(busy?.memory?.workingSetBytes, 1, 8 * MIB),
    'what was written to its own files': between(full?.rootfs?.usedBytes, 8 * MIB, 9 * MIB),
    'its log': between(full?.logs?.usedBytes, 100_000, Infinity),
    'the memory of the whole pod': between(pod?.memory?.workingSetBytes, full?.memory?.workingSetBytes ?? 0, Infinity),
    'the processors of the whole pod': between(
      pod?.cpu?.usageNanoCores,
      (busy?.cpu?.usageNanoCores ?? 0) / 2,
      Infinity,
    ),
    'its volume': between(disk?.usedBytes, 4 * MIB, 5 * MIB),
    'its network': hasNetwork ? between(pod?.network?.rxBytes, 1, Infinity) : pod?.network === undefined,
    'the node': node.memory.workingSetBytes > 0 && node.fs.capacityBytes > 0,
    'the images': node.runtime.imageFs.usedBytes > 0 && node.runtime.imageFs.capacityBytes > 0,
  };
}
