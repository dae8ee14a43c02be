import { Signal, type ContainerConfig } from '../../generated/runtime/v1/api.js';
import { canonicalSignal, signalNumber } from '../base/signals.js';
import type { ImageConfig } from './image-config.js';

/**
 * Returns the name of the signal that stops a container, such as `SIGTERM` or `SIGRTMIN+3`: the request's, else the
 * image's, else SIGTERM. An image's STOPSIGNAL that Linux does not have also gives SIGTERM, since only the image's
 * author could fix it.
 */
export function stopSignalOf(config: Pick<ContainerConfig, 'stop_signal'>, image: ImageConfig): string {
  if (config.stop_signal !== Signal.SIGNAL_RUNTIME_DEFAULT) return nameOf(config.stop_signal);
  return stopSignalNamed(image.config?.StopSignal ?? '');
}

/**
 * Returns the name of a signal that an image or a record has, in any spelling; SIGTERM for none that Linux has. Records
 * have the names of the CRI's enum (`SIGNAL_SIGTERM` since v0.37) or Linux's.
 */
export const stopSignalNamed = (name: string): string =>
  signalNumber(name) === undefined ? 'SIGTERM' : canonicalSignal(name);

/**
 * Returns the CRI signal of a name or number: the inverse of `stopSignalOf`. If CRI has several names for one number
 * (SIGCHLD and SIGCLD), a CRI name stays as given, and any other spelling gives the first name. RUNTIME_DEFAULT when
 * CRI has no such signal.
 */
export function criSignal(name: string): Signal {
  const number = signalNumber(name);
  const named = SIGNALS.find((signal) => signal.name === canonicalSignal(name));
  const signal = named ?? SIGNALS.find((each) => number !== undefined && each.number === number);
  return signal?.value ?? Signal.SIGNAL_RUNTIME_DEFAULT;
}

/** `SIGTERM` for SIGNAL_SIGTERM, `SIGRTMIN+3` for SIGNAL_SIGRTMINPLUS3, `SIGRTMAX-2` for SIGNAL_SIGRTMAXMINUS2. */
const nameOf = (signal: Signal): string => canonicalSignal(Signal[signal] ?? String(signal));

/** Every signal of the enum, in the enum's order, with the name and the number that Linux has for it. */
const SIGNALS = Object.values(Signal)
  .filter((value): value is Signal => typeof value === 'number' && value > Signal.SIGNAL_RUNTIME_DEFAULT)
  .map((value) => ({ value, name: nameOf(value), number: signalNumber(nameOf(value)) }));
