/** What clients ask to speak after the upgrade, and what is answered. */

/** Exec and attach: `version` decides how the outcome is told and whether a terminal can be resized. */
export interface CommandProtocol {
  readonly name: string;
  readonly version: number;
  readonly base64: boolean;
}

export type ForwardProtocol =
  /** Channels of one WebSocket; the ports stand in the CRI request. */
  | { readonly name: string; readonly kind: 'channels'; readonly base64: boolean }
  /** SPDY whose bytes travel in the binary messages of a WebSocket (KEP-4006). */
  | { readonly name: string; readonly kind: 'tunnel' };

/** The first of the client's protocols that is served; "" when it asks for none: version 1 in binary. */
export const commandOverWebSocket = (asked: readonly string[]): CommandProtocol | undefined =>
  asked.length === 0 ? { name: '', version: 1, base64: false } : firstOf(asked, commandProtocol);

/** Here base64 makes no sense, and a client has to name its version. */
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

/** What X-Accepted-Stream-Protocol-Versions lists when none fits. */
export const SPDY_COMMAND_PROTOCOLS = ['v4', 'v3', 'v2'].map((v) => `${v}.channel.k8s.io`).concat('channel.k8s.io');
export const PORT_FORWARD = 'portforward.k8s.io';
/** The second is what clients of Kubernetes 1.30 call the same thing. */
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
