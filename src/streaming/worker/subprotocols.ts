/** The protocols that clients may request, and which of them is chosen. */

/** Exec and attach. `version` decides how the outcome is reported and whether a terminal can be resized. */
export interface CommandProtocol {
  readonly name: string;
  readonly version: number;
  readonly base64: boolean;
}

export type ForwardProtocol =
  /** Channels of one WebSocket. The ports are those of the CRI request. */
  | { readonly name: string; readonly kind: 'channels'; readonly base64: boolean }
  /** SPDY inside the binary messages of a WebSocket (KEP-4006). */
  | { readonly name: string; readonly kind: 'tunnel' };

/**
 * Chooses the first of the client's protocols that is supported. "" (no protocol requested) means version 1 in binary.
 */
export const commandOverWebSocket = (asked: readonly string[]): CommandProtocol | undefined =>
  asked.length === 0 ? { name: '', version: 1, base64: false } : firstOf(asked, commandProtocol);

/** SPDY has no base64 variants, and the client must name a version. */
export const commandOverSpdy = (asked: readonly string[]): CommandProtocol | undefined =>
  firstOf(asked, (name) => {
    const protocol = commandProtocol(name);
    return protocol && !protocol.base64 && protocol.version <= 4 ? protocol : undefined;
  });

export const forwardOverWebSocket = (asked: readonly string[]): ForwardProtocol | undefined =>
  asked.length === 0
    ? { name: '', kind: 'channels', base64: false }
    : firstOf(asked, (name) => {
        if (TUNNELS.includes(name)) return { name, kind: 'tunnel' };
        const channels = /^v[45]\.(base64\.)?channel\.k8s\.io$/.exec(name);
        return channels ? { name, kind: 'channels', base64: channels[1] !== undefined } : undefined;
      });

export const forwardOverSpdy = (asked: readonly string[]): { readonly name: string } | undefined =>
  asked.includes(PORT_FORWARD) ? { name: PORT_FORWARD } : undefined;

/** The value of X-Accepted-Stream-Protocol-Versions in a response to a client whose protocols are all unknown. */
export const SPDY_COMMAND_PROTOCOLS = ['v4', 'v3', 'v2'].map((v) => `${v}.channel.k8s.io`).concat('channel.k8s.io');
export const PORT_FORWARD = 'portforward.k8s.io';
/** The second name is what clients of Kubernetes 1.30 send for the same protocol. */
const TUNNELS = [`SPDY/3.1+${PORT_FORWARD}`, 'v2.portforward.k8s.io'];

function commandProtocol(name: string): CommandProtocol | undefined {
  const match = /^(?:v([2-5])\.)?(base64\.)?channel\.k8s\.io$/.exec(name);
  return match ? { name, version: Number(match[1] ?? 1), base64: match[2] !== undefined } : undefined;
}

function firstOf<T>(asked: readonly string[], served: (name: string) => T | undefined): T | undefined {
  for (const name of asked) {
    const protocol = served(name);
    if (protocol !== undefined) return protocol;
  }
  return undefined;
}
