import type { PortForwardRequest, PortForwardResponse } from '../../generated/runtime/v1/api.js';
import { invalidArgument } from '../base/errors.js';
import type { Pod } from '../state/records.js';
import { isReady, requireReady } from '../state/require.js';
import type { State } from '../state/state.js';
import type { ForwardClient, Streaming } from '../streaming/streaming.js';

/**
 * Returns a URL where TCP ports of a pod's loopback can be reached (CRI PortForward), until the client disconnects or
 * the pod stops. `port` is for clients that cannot name ports themselves. FAILED_PRECONDITION when the pod is not
 * ready.
 */
export const portForward =
  (deps: { readonly state: State }, streaming: Streaming) =>
  (request: PortForwardRequest): PortForwardResponse => {
    for (const [index, port] of request.port.entries()) {
      if (port < 1 || port > 65_535) throw invalidArgument(`port[${index}]`, `expected 1 to 65535, received ${port}`);
    }
    if (request.port.length > MAX_PORTS) throw invalidArgument('port', `more than ${MAX_PORTS}`);
    const { id } = readyPod(deps.state, request.pod_sandbox_id);
    const url = streaming.url({
      route: 'portforward',
      ports: request.port,
      serve: (client) => serve(deps.state, id, client),
    });
    return { url };
  };

/** A port takes two channels, and a channel's number is one byte. */
const MAX_PORTS = 127;

async function serve(state: State, id: string, client: ForwardClient): Promise<void> {
  client.forward(readyPod(state, id).netnsPath);
  await state.pods.until(id, (pod) => !isReady(pod), client.signal);
}

const readyPod = (state: State, idOrPrefix: string): Pod => requireReady(state.pods.get(idOrPrefix, 'pod_sandbox_id'));
