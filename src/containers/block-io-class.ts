import { CriError } from '../base/errors.js';
import { blockDevices } from '../host/files/block-devices.js';
import { readYamlFile } from '../host/files/yaml-file.js';
import {
  blockIoClassOf,
  blockIoOf,
  parseBlockIoClasses,
  requireClass,
  type BlockIoClasses,
  type BlockIoParameters,
} from '../spec/block-io.js';
import type { OciBlockIo, OciSpec } from '../spec/oci.js';
import type { ContainerDeps } from './container-deps.js';

/**
 * Reads the classes of block I/O of this node (`runtime.blockio_config_file`); undefined if none are configured, and an
 * error if the file cannot be read.
 */
export async function readBlockIoClasses(
  deps: Pick<ContainerDeps, 'config'>,
): Promise<BlockIoClasses | CriError | undefined> {
  const path = deps.config.runtime.blockio_config_file;
  if (path === '') return undefined;
  try {
    return parseBlockIoClasses(await readYamlFile(path));
  } catch (thrown) {
    return new CriError('FAILED_PRECONDITION', `blockio_config_file "${path}": ${CriError.from(thrown).message}`);
  }
}

/** Returns what a class is for the devices that the node has now. */
export async function resolveBlockIoClass(parameters: readonly BlockIoParameters[]): Promise<OciBlockIo> {
  const devices = new Map<BlockIoParameters, Awaited<ReturnType<typeof blockDevices>>>();
  for (const each of parameters) if (each.devices) devices.set(each, await blockDevices(each.devices));
  return blockIoOf(parameters, (each) => devices.get(each) ?? []);
}

/**
 * Returns the class of a container that annotations choose, as containerd's CRI plugin does; undefined if they choose
 * none. FAILED_PRECONDITION: no classes are configured, unless such annotations are to be ignored then.
 */
export async function annotatedBlockIo(
  deps: Pick<ContainerDeps, 'config'>,
  names: Parameters<typeof blockIoClassOf>,
): Promise<OciBlockIo | undefined> {
  const name = blockIoClassOf(...names);
  if (name === '') return undefined;
  const classes = await readBlockIoClasses(deps);
  if (classes instanceof CriError) throw classes;
  if (classes) return resolveBlockIoClass(requireClass(name, classes, 'config.annotations'));
  if (deps.config.runtime.containerd.ignore_blockio_not_enabled_errors) return undefined;
  throw new CriError(
    'FAILED_PRECONDITION',
    `config.annotations: block I/O class "${name}" is refused, because there is no runtime.blockio_config_file`,
  );
}

export const withBlockIo = (spec: OciSpec, blockIO: OciBlockIo | undefined): OciSpec =>
  blockIO ? { ...spec, linux: { ...spec.linux, resources: { ...spec.linux.resources, blockIO } } } : spec;
