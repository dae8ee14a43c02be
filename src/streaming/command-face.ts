import type { TerminalSize } from './messages.js';
import type { Outcome } from './outcome.js';

/** A client's end of an exec or an attach, whichever protocol it speaks. */
export interface CommandFace {
  /** Takes the bytes of the link; throws when the client breaks the protocol. */
  receive(bytes: Buffer): void;
  /** False: the client is slow. */
  send(stream: 'stdout' | 'stderr', bytes: Uint8Array): boolean;
  /** That stream has no more to come. */
  finishOutput(stream: 'stdout' | 'stderr'): void;
  /** Tells the outcome and ends the connection. */
  finish(outcome: Outcome): void;
  probe(): void;
}

export interface CommandEvents {
  /** All the streams that the client was granted are there. */
  onReady(): void;
  onStdin(bytes: Buffer): void;
  onStdinEnd(): void;
  onResize(size: TerminalSize): void;
}

/** Reads terminal sizes, JSON objects with Width and Height, out of a stream that may cut them anywhere. */
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

/** As Kubernetes has it, 16 bits. A size of nothing is what a client sends that has no terminal. */
const isCells = (value: unknown): value is number =>
  Number.isInteger(value) && Number(value) > 0 && Number(value) < 65_536;
