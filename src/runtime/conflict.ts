import type { Config } from '../config/schema.js';
import type { Containerd } from '../containerd/containerd.js';

/**
 * Returns a warning when containerd's own CRI plugin uses the same namespace, '' otherwise. Both servers then handle
 * every exit, which works but is not wanted.
 */
export async function sharedNamespace(containerd: Pick<Containerd, 'introspection'>, config: Config): Promise<string> {
  const plugins = await containerd.introspection.plugins(['type==io.containerd.grpc.v1,id==cri']);
  const loaded = plugins.some(({ initError, initCode }) => initError === '' && initCode === NO_ERROR);
  if (!loaded || config.crid.namespace !== PLUGINS_NAMESPACE) return '';
  return `containerd's own CRI plugin also works in the namespace ${config.crid.namespace}: add "io.containerd.grpc.v1.cri" to disabled_plugins of its config.toml`;
}

const NO_ERROR = 0;
const PLUGINS_NAMESPACE = 'k8s.io';
