import { Signal, type ContainerConfig } from '../../generated/runtime/v1/api.js';
import { canonicalSignal, signalNumber } from '../base/signals.js';
import type { ImageConfig } from './image-config.js';

/**
 * What stops a container, such as `SIGTERM`: the request's signal, else the image's, else SIGTERM; that also for a
 * signal of the image that there is not, or its container could not be stopped but by SIGKILL.
 */
export function stopSignalOf(config: Pick<ContainerConfig, 'stop_signal'>, image: ImageConfig): string {
  if (config.stop_signal !== Signal.RUNTIME_DEFAULT) return signalName(config.stop_signal);
  const named = image.config?.StopSignal ?? '';
  return signalNumber(named) === undefined ? 'SIGTERM' : canonicalSignal(named);
}

/** `SIGRTMIN+3` for SIGRTMINPLUS3, `SIGRTMAX-2` for SIGRTMAXMINUS2, otherwise the name of the enum. */
const signalName = (signal: Signal): string =>
  (Signal[signal] ?? String(signal)).replace('PLUS', '+').replace('MINUS', '-');
