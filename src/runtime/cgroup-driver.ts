import type { CgroupDriver } from '../base/cgroup-driver.js';
import { isCode } from '../base/errors.js';
import type { Config, RuntimeHandler } from '../config/schema.js';
import { cgroupDriverOf } from '../containerd/cgroup-driver.js';
import { runtimeOptions } from '../containerd/runtime-options.js';

/**
 * The cgroup driver of a handler's runtime; undefined where its options say nothing of it (`cgroupDriverOf`), and where
 * they are refused, which the start of crid and `crid doctor` report.
 */
export function handlerCgroupDriver({ runtime_type: name, options }: RuntimeHandler): CgroupDriver | undefined {
  try {
    return cgroupDriverOf({ name, options: runtimeOptions(name, options) });
  } catch (thrown) {
    if (isCode(thrown, 'INVALID_ARGUMENT')) return undefined;
    throw thrown;
  }
}

/**
 * The cgroup driver of the node, which the kubelet is told: that of the default handler's runtime. Where the default
 * handler says nothing, that of the first handler by name that does; where none does, systemd if the node runs it. A
 * kubelet has one driver for all handlers, so a handler with another driver refuses its pods (`checkCgroupDriver`).
 */
export function nodeCgroupDriver({ runtime: { containerd } }: Config, runsSystemd: boolean): CgroupDriver {
  const { default_runtime_name: first, runtimes } = containerd;
  for (const name of [first, ...Object.keys(runtimes).sort()]) {
    const driver = runtimes[name] && handlerCgroupDriver(runtimes[name]);
    if (driver) return driver;
  }
  return runsSystemd ? 'systemd' : 'cgroupfs';
}
