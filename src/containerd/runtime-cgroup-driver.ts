import { parse } from 'smol-toml';
import { Options as RuncOptions } from '../../generated/containerd/types/runc/options/oci.js';
import { Options as GenericOptions } from '../../generated/containerd/types/runtimeoptions/v1/api.js';
import type { CgroupDriver } from '../base/cgroup-driver.js';
import { anyOf } from './any.js';
import type { ContainerRecord } from './containerd.js';
import { GENERIC_OPTIONS, RUNC_OPTIONS, RUNC_RUNTIME } from './runtime-options.js';

type Runtime = ContainerRecord['runtime'];

/**
 * Returns the cgroup driver of a runtime, from the options that its shim gets: those of a handler, or those in a
 * container's record. runc's shim passes `--systemd-cgroup` only if `systemd_cgroup` is set, so runc without options
 * uses cgroupfs. Another runtime has a driver if its inline options say so (`SystemdCgroup`). Undefined means that it
 * has its own settings or decides by the form of the path.
 */
export function cgroupDriverOf({ name, options }: Runtime): CgroupDriver | undefined {
  if (name === RUNC_RUNTIME) return driver(runcOptions(options).systemd_cgroup);
  if (options?.type_url !== GENERIC_OPTIONS) return undefined;
  const said = inlineOptions(options.value)['SystemdCgroup'];
  return typeof said === 'boolean' ? driver(said) : undefined;
}

/** Returns the runtime with another cgroup driver. Only runc's options have a field for it; others stay as they are. */
export function withCgroupDriver(runtime: Runtime, wanted: CgroupDriver): Runtime {
  if (runtime.name !== RUNC_RUNTIME || cgroupDriverOf(runtime) === wanted) return runtime;
  const options = { ...runcOptions(runtime.options), systemd_cgroup: wanted === 'systemd' };
  return { ...runtime, options: anyOf(RUNC_OPTIONS, RuncOptions.encode(options).finish()) };
}

const driver = (systemd: boolean): CgroupDriver => (systemd ? 'systemd' : 'cgroupfs');

const runcOptions = (options: Runtime['options']): RuncOptions =>
  options?.type_url === RUNC_OPTIONS ? RuncOptions.decode(options.value) : RuncOptions.fromPartial({});

/** Returns {} for a body that is not TOML: it is in the runtime's own format. */
function inlineOptions(value: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    return parse(Buffer.from(GenericOptions.decode(value).config_body).toString('utf8'));
  } catch {
    return {};
  }
}
