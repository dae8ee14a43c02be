import { Signal, type ContainerConfig } from '../../generated/runtime/v1/api.js';
import type { ImageConfig } from './image-config.js';

/** What stops a container, such as `SIGTERM`: the request's signal, else the image's, else SIGTERM. */
export function stopSignalOf(config: Pick<ContainerConfig, 'stop_signal'>, image: ImageConfig): string {
  if (config.stop_signal !== Signal.RUNTIME_DEFAULT) return signalName(config.stop_signal);
  const named = image.config?.StopSignal ?? '';
  return named === '' ? 'SIGTERM' : canonical(named);
}

/**
 * The number of a signal given by name or number (`SIGTERM`, `term`, `15`, `RTMIN+3`); undefined when Linux has none
 * such. Real-time signals are glibc's: SIGRTMIN is 34.
 */
export function signalNumber(name: string): number | undefined {
  if (/^\d+$/.test(name)) return Number(name) >= 1 && Number(name) <= SIGRTMAX ? Number(name) : undefined;
  const [, base, sign, offset] = /^(SIGRTMIN|SIGRTMAX)(?:([+-])(\d+))?$/.exec(canonical(name)) ?? [];
  if (base === undefined) return NUMBERS[canonical(name)];
  const distance = Number(offset ?? 0) * (sign === '-' ? -1 : 1);
  const number = (base === 'SIGRTMIN' ? SIGRTMIN : SIGRTMAX) + distance;
  return number >= SIGRTMIN && number <= SIGRTMAX ? number : undefined;
}

const SIGRTMIN = 34;
const SIGRTMAX = 64;

/** x86, arm and most others (signal(7)); mips and sparc are not among the machines crid runs on. */
const NUMBERS: Readonly<Record<string, number>> = Object.fromEntries(
  [
    ...['HUP', 'INT', 'QUIT', 'ILL', 'TRAP', 'ABRT', 'BUS', 'FPE', 'KILL', 'USR1', 'SEGV', 'USR2', 'PIPE', 'ALRM'],
    ...['TERM', 'STKFLT', 'CHLD', 'CONT', 'STOP', 'TSTP', 'TTIN', 'TTOU', 'URG', 'XCPU', 'XFSZ', 'VTALRM', 'PROF'],
    ...['WINCH', 'IO', 'PWR', 'SYS'],
  ]
    .map((name, index): [string, number] => [`SIG${name}`, index + 1])
    .concat([
      ['SIGIOT', 6],
      ['SIGCLD', 17],
      ['SIGPOLL', 29],
      ['SIGUNUSED', 31],
    ]),
);

/** `SIGRTMIN+3` for SIGRTMINPLUS3, `SIGRTMAX-2` for SIGRTMAXMINUS2, otherwise the name of the enum. */
const signalName = (signal: Signal): string =>
  (Signal[signal] ?? String(signal)).replace('PLUS', '+').replace('MINUS', '-');

function canonical(name: string): string {
  if (/^\d+$/.test(name)) return name;
  const upper = name.toUpperCase();
  return upper.startsWith('SIG') ? upper : `SIG${upper}`;
}
