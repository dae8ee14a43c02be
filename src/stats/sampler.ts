import { inBackground } from '../base/background.js';
import { cgroupDirectory } from '../spec/cgroup-path.js';
import { eachAlone } from './in-batches.js';
import type { StatsDeps } from './stats-deps.js';
import { isOnHost, podCgroup } from './usage.js';

type SamplerDeps = Pick<StatsDeps, 'state' | 'cgroups' | 'rates' | 'layers' | 'log'>;

/** Samples the CPU time of running containers and ready pods once per window. Returns the function that stops it. */
export function startSampler(deps: SamplerDeps, windowMs: number): () => void {
  const { state, rates, layers } = deps;
  let sampling = false;
  const timer = setInterval(() => {
    if (sampling) return;
    sampling = true;
    inBackground(
      deps.log,
      'sampling CPU times',
      sample(deps).finally(() => (sampling = false)),
    );
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

/** A container or pod whose cgroup cannot be found or read has no rate. It does not affect the others. */
async function sample({ state, cgroups, rates }: SamplerDeps): Promise<void> {
  const pods = state.pods.list().filter(isOnHost);
  const onHost = new Set(pods.map(({ id }) => id));
  const targets = [
    ...state.containers
      .list()
      .filter(({ state, podId }) => state.phase === 'running' && onHost.has(podId))
      .map(({ id, cgroupsPath }) => ({ id, cgroup: () => cgroupDirectory(cgroupsPath) })),
    ...pods
      .filter(({ state }) => state.phase === 'ready')
      .map((pod) => ({ id: pod.id, cgroup: () => podCgroup(pod) ?? '' })),
  ];
  await eachAlone(
    targets,
    ({ id, cgroup }) => {
      const directory = cgroup();
      const usageNs = directory === '' ? undefined : cgroups.cpuUsage(directory);
      if (usageNs !== undefined) rates.observe(id, usageNs);
    },
    // The request for the statistics of this pod or container reports the error.
    () => undefined,
  );
}
