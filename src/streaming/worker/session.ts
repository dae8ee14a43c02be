import type { ToWorker } from '../shared/session-messages.js';

/** The work of the streaming thread for one client after the upgrade of its connection. */
export interface Session {
  /** Throws when the client breaks its protocol. */
  receive(bytes: Buffer): void;
  /** See ClientConnection. */
  probe(): void;
  obey(message: ToWorker): void;
  /** Closes every FIFO and socket except the client's own. Idempotent. */
  release(): void;
}
