import { randomBytes, timingSafeEqual } from 'node:crypto';
import { CriError } from '../base/errors.js';

/** Single-use tokens, each worth a T. */
export interface Tokens<T> {
  /** A new token, 256 bits in base64url. RESOURCE_EXHAUSTED when too many wait to be used. */
  issue(value: T): string;
  /** What the token is worth, once; undefined when it is unknown, used or too old. */
  redeem(token: string): T | undefined;
}

export function createTokens<T>(options: { limit: number; lifetimeMs: number; now?: () => number }): Tokens<T> {
  const now = options.now ?? (() => performance.now());
  const issued = new Set<{ readonly secret: Buffer; readonly expiresAtMs: number; readonly value: T }>();

  // In order of issue, thus of expiry.
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
      // Every one is looked at, whether or not one has matched: how long it takes says nothing about the tokens.
      let found: typeof issued extends Set<infer Entry> ? Entry | undefined : never;
      for (const entry of issued) if (timingSafeEqual(entry.secret, presented)) found = entry;
      if (!found) return undefined;
      issued.delete(found);
      return found.value;
    },
  };
}

const TOKEN_BYTES = 32;
