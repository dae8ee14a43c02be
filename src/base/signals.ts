export const SIGKILL = 9;

/**
 * Returns the number of a signal as an image's STOPSIGNAL or a CRI request names it (`SIGTERM`, `term`, `15`,
 * `RTMIN+3`), or undefined if Linux has no such signal. Real-time signals are numbered as in glibc: SIGRTMIN is 34.
 */
export function signalNumber(name: string): number | undefined {
  if (/^\d+$/.test(name)) return Number(name) >= 1 && Number(name) <= SIGRTMAX ? Number(name) : undefined;
  const [, base, sign, offset] = /^(SIGRTMIN|SIGRTMAX)(?:([+-])(\d+))?$/.exec(canonicalSignal(name)) ?? [];
  if (base === undefined) return NUMBERS[canonicalSignal(name)];
  const distance = Number(offset ?? 0) * (sign === '-' ? -1 : 1);
  const number = (base === 'SIGRTMIN' ? SIGRTMIN : SIGRTMAX) + distance;
  return number >= SIGRTMIN && number <= SIGRTMAX ? number : undefined;
}

const SIGRTMIN = 34;
const SIGRTMAX = 64;

/** The numbers of x86, arm and most others (signal(7)). mips and sparc differ, but crid does not run on them. */
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

/**
 * Returns `SIGTERM` for `term` and for `SIGNAL_SIGTERM`, the name in the CRI's enum since v0.37, `SIGRTMIN+3` for the
 * enum's `SIGNAL_SIGRTMINPLUS3`, and a number unchanged.
 */
export function canonicalSignal(name: string): string {
  if (/^\d+$/.test(name)) return name;
  const upper = name
    .toUpperCase()
    .replace(/^SIGNAL_/, '')
    .replace(/^(SIGRTMIN)PLUS|^(SIGRTMAX)MINUS/, (_, plus?: string, minus?: string) =>
      plus ? `${plus}+` : `${minus}-`,
    );
  return upper.startsWith('SIG') ? upper : `SIG${upper}`;
}
