import type { IncomingMessage } from 'node:http';
import { createSpdyCommand } from './spdy/spdy-command.js';
import { createSpdyForward, createTunnelForward } from './spdy/spdy-forward.js';
import { createCommandSession } from './command-session.js';
import { createForwardSession } from './forward-session.js';
import type { ClientConnection } from './client-connection.js';
import type { FromWorker, Grant, Route } from '../shared/session-messages.js';
import {
  commandOverSpdy,
  commandOverWebSocket,
  forwardOverSpdy,
  forwardOverWebSocket,
  PORT_FORWARD,
  SPDY_COMMAND_PROTOCOLS,
} from './subprotocols.js';
import type { Session } from './session.js';
import { acceptKey } from './websocket/websocket.js';
import { createWebSocketCommand } from './websocket/websocket-command.js';
import { createWebSocketForward } from './websocket/websocket-forward.js';

export interface SessionOptions {
  readonly session: number;
  readonly link: ClientConnection;
  readonly grant: Grant;
  readonly tell: (message: FromWorker) => void;
}

/** The result of the negotiation, before the token is checked. */
export interface Upgrade {
  /** Headers of the 101 response. */
  readonly headers: readonly string[];
  readonly start: (options: SessionOptions) => Session;
}

export interface Refusal {
  readonly status: number;
  readonly message: string;
  readonly headers?: readonly string[];
}

/** Chooses the protocol to speak after the upgrade, or a refusal. */
export function negotiate(request: IncomingMessage, route: Route): Upgrade | Refusal {
  const asked = request.headers.upgrade?.toLowerCase();
  if (asked === 'websocket') return overWebSocket(request, route);
  if (asked === 'spdy/3.1') return overSpdy(request, route);
  return { status: 400, message: `upgrade to websocket or SPDY/3.1 expected, received "${asked ?? ''}"` };
}

function overWebSocket(request: IncomingMessage, route: Route): Upgrade | Refusal {
  const key = request.headers['sec-websocket-key'] ?? '';
  if (request.method !== 'GET') return { status: 405, message: 'a websocket begins with GET' };
  if (request.headers['sec-websocket-version'] !== '13') {
    return { status: 426, message: 'websocket version 13 expected', headers: ['Sec-WebSocket-Version: 13'] };
  }
  if (Buffer.from(key, 'base64').length !== 16) return { status: 400, message: 'bad Sec-WebSocket-Key' };
  const asked = listOf(request.headers['sec-websocket-protocol']);
  const protocol = route === 'portforward' ? forwardOverWebSocket(asked) : commandOverWebSocket(asked);
  if (!protocol) return { status: 403, message: `no websocket protocol in common, offered ${asked.join(', ')}` };
  const headers = [
    'Upgrade: websocket',
    `Sec-WebSocket-Accept: ${acceptKey(key)}`,
    ...(protocol.name === '' ? [] : [`Sec-WebSocket-Protocol: ${protocol.name}`]),
  ];
  if ('version' in protocol) {
    return {
      headers,
      start: (options) =>
        command(options, (grant, events) => createWebSocketCommand(options.link, protocol, grant, events)),
    };
  }
  if (protocol.kind === 'tunnel') {
    return {
      headers,
      start: (options) => forward(options, (_ports, forwards) => createTunnelForward(options.link, forwards)),
    };
  }
  return {
    headers,
    start: (options) =>
      forward(options, (ports, forwards) => createWebSocketForward(options.link, protocol.base64, ports, forwards)),
  };
}

function overSpdy(request: IncomingMessage, route: Route): Upgrade | Refusal {
  const asked = listOf(request.headers[VERSION_HEADER.toLowerCase()]);
  const spdy = (name: string): string[] => ['Upgrade: SPDY/3.1', `${VERSION_HEADER}: ${name}`];
  if (asked.length === 0) return { status: 400, message: `${VERSION_HEADER} is required` };
  if (route === 'portforward') {
    const protocol = forwardOverSpdy(asked);
    if (!protocol) return noneInCommon([PORT_FORWARD], asked);
    return {
      headers: spdy(protocol.name),
      start: (options) => forward(options, (_ports, forwards) => createSpdyForward(options.link, forwards)),
    };
  }
  const protocol = commandOverSpdy(asked);
  if (!protocol) return noneInCommon(SPDY_COMMAND_PROTOCOLS, asked);
  return {
    headers: spdy(protocol.name),
    start: (options) => command(options, (grant, events) => createSpdyCommand(options.link, protocol, grant, events)),
  };
}

const VERSION_HEADER = 'X-Stream-Protocol-Version';

const noneInCommon = (served: readonly string[], asked: readonly string[]): Refusal => ({
  status: 403,
  message: `no stream protocol in common, offered ${asked.join(', ')}`,
  headers: served.map((name) => `X-Accepted-Stream-Protocol-Versions: ${name}`),
});

function listOf(header: string | readonly string[] | undefined): string[] {
  const text = typeof header === 'string' ? header : (header ?? []).join(',');
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

type CommandGrant = Extract<Grant, { kind: 'command' }>;
type CommandOptions = Parameters<typeof createCommandSession>[0];
type ForwardOptions = Parameters<typeof createForwardSession>[0];

function command(
  { session, link, grant, tell }: SessionOptions,
  transport: (
    grant: CommandGrant,
    events: Parameters<CommandOptions['transport']>[0],
  ) => ReturnType<CommandOptions['transport']>,
): Session {
  if (grant.kind !== 'command') throw new Error(`session ${session}: a grant for ${grant.kind}`);
  return createCommandSession({ session, link, tell, transport: (events) => transport(grant, events) });
}

function forward(
  { session, link, grant, tell }: SessionOptions,
  transport: (
    ports: readonly number[],
    forwards: Parameters<ForwardOptions['transport']>[0],
  ) => ReturnType<ForwardOptions['transport']>,
): Session {
  if (grant.kind !== 'port-forward') throw new Error(`session ${session}: a grant for ${grant.kind}`);
  return createForwardSession({ session, link, tell, transport: (forwards) => transport(grant.ports, forwards) });
}
