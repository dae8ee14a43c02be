import { CriError } from '../base/errors.js';
import type { LoadedConfig } from '../config/load.js';
import type { Config, RuntimeHandler } from '../config/schema.js';
import type { Containerd, PluginInfo } from '../containerd/containerd.js';
import { runtimeOptions } from '../containerd/runtime-options.js';
import { sharedNamespace } from '../runtime/conflict.js';
import { askVersion } from '../runtime/containerd-version.js';
import { handlerCgroupDriver } from '../runtime/node-cgroup-driver.js';
import { snapshottersOf, snapshotterWarnings } from '../runtime/snapshotter-settings.js';
import { namesController } from '../state/pod-view.js';
import { fault, ok, warning, type Finding } from './finding.js';
import { runcProblem, runcVersion } from './runc-version.js';

/**
 * Checks containerd's version and deprecations, a second CRI server, and each snapshotter and runtime of the handlers.
 * UNAVAILABLE when containerd does not answer.
 */
export async function checkContainerd(
  { config, transfer }: Pick<LoadedConfig, 'config' | 'transfer'>,
  containerd: Containerd,
): Promise<Finding[]> {
  const { address } = config.grpc;
  const { version, problem } = await askVersion(containerd, address).catch((thrown: unknown) => {
    throw new CriError('UNAVAILABLE', `${address}: ${CriError.from(thrown).message}`, { cause: thrown });
  });
  if (problem !== undefined) return [fault('containerd', problem)];
  const [conflict, { deprecations }, snapshotters, settings, handlers] = await Promise.all([
    sharedNamespace(containerd, config),
    containerd.introspection.server(),
    checkSnapshotters(config, containerd),
    snapshotterWarnings(config, transfer, containerd),
    checkHandlers(config, containerd),
  ]);
  return [
    ok('containerd', `${version} at ${address}, namespace ${config.crid.namespace}`),
    ...(conflict ? [warning('containerd', conflict)] : []),
    ...deprecations.map(({ message }) => warning('containerd', message)),
    ...snapshotters,
    ...settings.map(({ snapshotter, message }) => warning(`snapshotter ${snapshotter}`, message)),
    ...handlers,
  ];
}

async function checkSnapshotters(config: Config, containerd: Containerd): Promise<Finding[]> {
  const plugins = await containerd.introspection.plugins(['type==io.containerd.snapshotter.v1']);
  return snapshottersOf(config).map((name) => {
    const plugin = plugins.find(({ id }) => id === name);
    if (!plugin) return fault(`snapshotter ${name}`, 'containerd has no snapshotter with this name');
    return plugin.initError === ''
      ? ok(`snapshotter ${name}`, 'loaded')
      : fault(`snapshotter ${name}`, plugin.initError);
  });
}

async function checkHandlers({ runtime }: Config, containerd: Containerd): Promise<Finding[]> {
  const controllers = await containerd.introspection.plugins(['type==io.containerd.sandbox.controller.v1']);
  const handlers = Object.entries(runtime.containerd.runtimes);
  return (await Promise.all(handlers.map((each) => checkHandler(each, controllers, containerd)))).flat();
}

/**
 * Checks one handler. The question for a runtime's features runs its shim and its program, so an answer shows that both
 * exist.
 */
async function checkHandler(
  [name, handler]: [string, RuntimeHandler],
  controllers: readonly PluginInfo[],
  containerd: Containerd,
): Promise<Finding[]> {
  const { runtime_type: type, runtime_path: path, sandboxer } = handler;
  const subject = `handler ${name}`;
  try {
    const features = await containerd.introspection.runtimeFeatures({
      name: type,
      path,
      options: runtimeOptions(type, handler.options),
    });
    const hasSandboxer = controllers.some(({ id }) => id === sandboxer);
    if (namesController(sandboxer) && !hasSandboxer)
      return [fault(subject, `containerd has no sandbox controller "${sandboxer}"`)];
    const driver = handlerCgroupDriver(handler) ?? 'of its own';
    const problem = runcProblem(runcVersion(features) ?? '');
    return [
      ok(subject, `${path || type}, sandboxer ${sandboxer}, cgroup driver ${driver}`),
      ...(problem === undefined ? [] : [warning(subject, problem)]),
    ];
  } catch (thrown) {
    return [fault(subject, CriError.from(thrown).message)];
  }
}
