import type { CgroupDriver } from '../base/cgroup-driver.js';
import { isCode } from '../base/errors.js';
import type { Config, RuntimeHandler } from '../config/schema.js';
import { cgroupDriverOf } from '../containerd/runtime-cgroup-driver.js';
import { runtimeOptions } from '../containerd/runtime-options.js';

/**
 * Returns the cgroup driver of a handler's runtime; undefined when its options do not set one (`cgroupDriverOf`), or
 * when they are refused, which the start of crid and `crid doctor` report.
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
 * Returns the cgroup driver of the node, which the kubelet adopts: that of the default handler's runtime. If the
 * default handler does not set one, that of the first handler by name that does; if none does, systemd when the node
 * runs it. A kubelet has one driver for all handlers, so a handler with another driver refuses its pods
 * (`checkCgroupDriver`).
 */
export function nodeCgroupDriver({ runtime: { containerd } }: Config, runsSystemd: boolean): CgroupDriver {
  const { default_runtime_name: first, runtimes } = containerd;
  for (const name of [first, ...Object.keys(runtimes).sort()]) {
    const driver = runtimes[name] && handlerCgroupDriver(runtimes[name]);
    if (driver) return driver;
  }
  return runsSystemd ? 'systemd' : 'cgroupfs';
}
