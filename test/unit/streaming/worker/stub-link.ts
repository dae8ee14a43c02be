import type { ClientConnection } from '../../../../src/streaming/worker/client-connection.js';

/** A link without a connection. It records what is sent, and counts the holders that stop reading. */
export function stubLink(): { link: ClientConnection; sent: Uint8Array[]; holders: () => number } {
  const sent: Uint8Array[] = [];
  let holders = 0;
  const link: ClientConnection = {
    send(...parts) {
      sent.push(...parts);
      return true;
    },
    whenDrained: setImmediate,
    hold() {
      holders += 1;
      let held = true;
      return () => {
        if (held) holders -= 1;
        held = false;
      };
    },
    end: () => undefined,
    destroy: () => undefined,
    destroyAfter: () => () => undefined,
  };
  return { link, sent, holders: () => holders };
}
