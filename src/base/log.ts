import { pino, type Logger } from 'pino';
import { currentContext } from './context.js';

export type { Logger } from 'pino';
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error';

/**
 * Creates the process's root logger: JSON lines on stderr, RFC 3339 times, credentials redacted wherever they appear.
 */
export function createLogger(level: LogLevel): Logger {
  return pino(
    {
      level,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: {
        paths: ['auth', '*.auth', 'password', '*.password', '*.identity_token', '*.registry_token'],
        censor: '[redacted]',
      },
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ fd: 2, sync: false }),
  );
}

/** Returns the logger of the request being served, or `root`. */
export const logOf = (root: Logger): Logger => currentContext()?.log ?? root;
