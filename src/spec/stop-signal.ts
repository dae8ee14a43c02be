import { Signal, type ContainerConfig } from '../../generated/runtime/v1/api.js';
import { canonicalSignal, signalNumber } from '../base/signals.js';
import type { ImageConfig } from './image-config.js';

/**
 * Returns the name of the signal that stops a container, such as `SIGTERM` or `SIGRTMIN+3`: the request's, else the
 * image's, else SIGTERM. An image's STOPSIGNAL that Linux does not have also gives SIGTERM, since only the image's
 * author could fix it.
 */
export function stopSignalOf(config: Pick<ContainerConfig, 'stop_signal'>, image: ImageConfig): string {
  if (config.stop_signal !== Signal.RUNTIME_DEFAULT) return nameOf(config.stop_signal);
  const named = image.config?.StopSignal ?? '';
  return signalNumber(named) === undefined ? 'SIGTERM' : canonicalSignal(named);
}

/**
 * Returns the CRI signal of a name or number: the inverse of `stopSignalOf`. If CRI has several names for one number
 * (SIGCHLD and SIGCLD), a CRI name stays as given, and any other spelling gives the first name. RUNTIME_DEFAULT when
 * CRI has no such signal.
 */
export function criSignal(name: string): Signal {
  const number = signalNumber(name);
  const named = SIGNALS.find((signal) => signal.name === canonicalSignal(name));
  const signal = named ?? SIGNALS.find((each) => number !== undefined && each.number === number);
  return signal?.value ?? Signal.RUNTIME_DEFAULT;
}

/** `SIGRTMIN+3` for SIGRTMINPLUS3, `SIGRTMAX-2` for SIGRTMAXMINUS2, otherwise the name of the enum. */
const nameOf = (signal: Signal): string =>
  (Signal[signal] ?? String(signal)).replace('PLUS', '+').replace('MINUS', '-');

/** Every signal of the enum, in the enum's order, with the name and the number that Linux has for it. */
const SIGNALS = Object.values(Signal)
  .filter((value): value is Signal => typeof value === 'number' && value > Signal.RUNTIME_DEFAULT)
  .map((value) => ({ value, name: nameOf(value), number: signalNumber(nameOf(value)) }));
