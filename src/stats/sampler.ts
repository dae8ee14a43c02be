import { cgroupDirectory } from '../spec/cgroup-path.js';
import type { StatsDeps } from './deps.js';
import { eachAlone } from './each.js';
import { isOnHost, podCgroup } from './usage.js';

/** Samples the CPU time of all that runs, once in each window, so that a rate is at hand for whoever asks. */
export function startSampler(
  deps: Pick<StatsDeps, 'state' | 'cgroups' | 'handlers' | 'containerd' | 'rates' | 'layers'>,
  windowMs: number,
): () => void {
  const { state, rates, layers } = deps;
  let sampling = false;
  const timer = setInterval(() => {
    if (sampling) return;
    sampling = true;
    void sample(deps).finally(() => (sampling = false));
  }, windowMs);
  timer.unref();
  const stops = [
    state.containers.onChange((before, after) => {
      if (after && after.state.phase !== 'exited') return;
      rates.forget((after ?? before)!.id);
      if (!after) layers.forget(before!.id);
    }),
    state.pods.onChange((before, after) => {
      if (after?.state.phase !== 'ready') rates.forget((after ?? before)!.id);
    }),
  ];
  return () => {
    clearInterval(timer);
    for (const stop of stops) stop();
  };
}

async function sample(deps: Pick<StatsDeps, 'state' | 'cgroups' | 'handlers' | 'containerd' | 'rates'>): Promise<void> {
  const onHost = new Map(deps.state.pods.list().flatMap((pod) => (isOnHost(pod) ? [[pod.id, pod] as const] : [])));
  const targets = [
    ...deps.state.containers
      .list()
      .filter(({ state, podId }) => state.phase === 'running' && onHost.has(podId))
      .map(({ id, cgroupsPath }) => ({ id, path: cgroupDirectory(cgroupsPath) })),
    ...[...onHost.values()].flatMap((pod) => {
      const path = pod.state.phase === 'ready' ? podCgroup(deps, pod) : undefined;
      return path === undefined ? [] : { id: pod.id, path };
    }),
  ].filter(({ path }) => path !== '');
  await eachAlone(
    targets,
    ({ id, path }) => {
      const usageNs = deps.cgroups.cpuUsage(path);
      if (usageNs !== undefined) deps.rates.observe(id, usageNs);
    },
    // What is broken shows where its statistics are asked for.
    () => undefined,
  );
}
