/**
 * The entry of the package's `crid/nri`: a library for NRI plugins, which run as processes of their own. crid itself
 * does not load it.
 */

export { connectPlugin, type ConnectedPlugin, type PluginOptions } from './connect-plugin.js';
export type {
  AboutAdjustment,
  AboutContainer,
  AboutContainerUpdate,
  AboutPod,
  AboutPodUpdate,
  CreateAnswer,
  NodeState,
  PartialMessage,
  PluginHandlers,
  UpdateAnswer,
} from './handlers.js';
export { runPlugin } from './run-plugin.js';
export {
  ContainerState,
  IOPrioClass,
  LinuxSchedulerFlag,
  LinuxSchedulerPolicy,
  MpolFlag,
  MpolMode,
} from '../../generated/nri/v1alpha1/api.js';
export type {
  ConfigureRequest,
  Container,
  ContainerAdjustment,
  ContainerEviction,
  ContainerUpdate,
  FailurePolicy,
  LinuxResources,
  OwningPlugins,
  PluginInstance,
  PodSandbox,
} from '../../generated/nri/v1alpha1/api.js';
