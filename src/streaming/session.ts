import type { ToWorker } from './messages.js';

/** What the streaming thread does for one client, once its connection is upgraded. */
export interface Session {
  /** Throws when the client breaks its protocol. */
  receive(bytes: Buffer): void;
  /** See Link. */
  probe(): void;
  obey(message: ToWorker): void;
  /** Closes every pipe and socket but the client's own. Idempotent. */
  release(): void;
}
