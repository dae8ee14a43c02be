import { randomBytes, timingSafeEqual } from 'node:crypto';
import { CriError } from '../../base/errors.js';

/** Single-use tokens, each with a value of type T. */
export interface Tokens<T> {
  /** Returns a new token, 256 bits in base64url. RESOURCE_EXHAUSTED when too many are unused. */
  issue(value: T): string;
  /** Returns the token's value once. Undefined when the token is unknown, used or expired. */
  redeem(token: string): T | undefined;
}

export function createTokens<T>(options: { limit: number; lifetimeMs: number; now?: () => number }): Tokens<T> {
  const now = options.now ?? (() => performance.now());
  const issued = new Set<{ readonly secret: Buffer; readonly expiresAtMs: number; readonly value: T }>();

  // The set is in order of issue, so the oldest come first.
  const dropExpired = (): void => {
    for (const entry of issued) {
      if (entry.expiresAtMs > now()) return;
      issued.delete(entry);
    }
  };

  return {
    issue(value) {
      dropExpired();
      if (issued.size >= options.limit) {
        throw new CriError('RESOURCE_EXHAUSTED', `${issued.size} streaming urls wait to be used, try again later`);
      }
      const secret = randomBytes(TOKEN_BYTES);
      issued.add({ secret, expiresAtMs: now() + options.lifetimeMs, value });
      return secret.toString('base64url');
    },
    redeem(token) {
      dropExpired();
      const presented = Buffer.from(token, 'base64url');
      if (presented.length !== TOKEN_BYTES) return undefined;
      // Compare with every token, also after a match: the time taken must not depend on the tokens.
      let found: typeof issued extends Set<infer Entry> ? Entry | undefined : never;
      for (const entry of issued) if (timingSafeEqual(entry.secret, presented)) found = entry;
      if (!found) return undefined;
      issued.delete(found);
      return found.value;
    },
  };
}

const TOKEN_BYTES = 32;
