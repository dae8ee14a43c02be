import type { Outcome } from '../shared/outcome.js';
import type { TerminalSize } from '../shared/session-messages.js';

/** The protocol side of an exec or an attach, the same for SPDY and WebSocket. */
export interface CommandTransport {
  /** Handles bytes that the client sent. Throws when the client breaks the protocol. */
  receive(bytes: Buffer): void;
  /** Sends output to the client. Returns false when the client is slow. */
  send(stream: 'stdout' | 'stderr', bytes: Uint8Array): boolean;
  /** Tells the client that this stream has ended. */
  finishOutput(stream: 'stdout' | 'stderr'): void;
  /** Sends the outcome to the client and ends the connection. */
  finish(outcome: Outcome): void;
  probe(): void;
}

export interface CommandEvents {
  /** The client has opened all the streams that it was granted. */
  onReady(): void;
  onStdin(bytes: Buffer): void;
  onStdinEnd(): void;
  onResize(size: TerminalSize): void;
}

/** Reads terminal sizes, which are JSON objects with Width and Height, from a stream that may be cut at any byte. */
export function createSizeReader(onResize: (size: TerminalSize) => void): (bytes: Buffer) => void {
  let text = '';
  return (bytes) => {
    text += bytes.toString('latin1');
    for (let end = text.indexOf('}'); end >= 0; end = text.indexOf('}')) {
      const size = parseSize(text.slice(0, end + 1));
      text = text.slice(end + 1);
      if (size) onResize(size);
    }
    if (text.length > MAX_SIZE_BYTES) text = '';
  };
}

const MAX_SIZE_BYTES = 1024;

function parseSize(text: string): TerminalSize | undefined {
  try {
    const { Width: width, Height: height } = JSON.parse(text) as { Width?: unknown; Height?: unknown };
    return isCells(width) && isCells(height) ? { width, height } : undefined;
  } catch {
    return undefined;
  }
}

/** Kubernetes uses 16 bits for a size. A client without a terminal sends 0. */
const isCells = (value: unknown): value is number =>
  Number.isInteger(value) && Number(value) > 0 && Number(value) < 65_536;
