/** The result of one check: as it should be, worth knowing, or an obstacle for pods. */
export interface Finding {
  readonly level: 'ok' | 'warning' | 'fault';
  readonly subject: string;
  /** The finding; for a warning or fault also what to do. */
  readonly message: string;
}

export const ok = (subject: string, message: string): Finding => ({ level: 'ok', subject, message });
export const warning = (subject: string, message: string): Finding => ({ level: 'warning', subject, message });
export const fault = (subject: string, message: string): Finding => ({ level: 'fault', subject, message });

/** Returns one line for each finding: level, subject, message. */
export function describeFindings(findings: readonly Finding[]): string {
  const width = Math.max(0, ...findings.map(({ subject }) => subject.length));
  return findings
    .map(({ level, subject, message }) => `${level.padEnd(LEVEL_WIDTH)}  ${subject.padEnd(width)}  ${message}\n`)
    .join('');
}

const LEVEL_WIDTH = 'warning'.length;
