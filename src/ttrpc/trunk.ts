import type { Socket } from 'node:net';
import { CriError } from '../base/errors.js';
import { encodeFrames, frameParser, FrameTooLong } from './trunk-frame.js';
import { createTrunkWriter } from './trunk-writer.js';
import { encodeMessage, messageParser, MessageTooLong, type Message } from './ttrpc-message.js';

/** The connections of ttrpc that share one stream socket. */
export interface Trunk {
  /** Why the trunk has closed; undefined while it is open. */
  readonly closed: CriError | undefined;
  /**
   * Passes the messages of a connection to `receive`. Throws ALREADY_EXISTS if the connection is open. Messages of
   * connections that nobody has opened are dropped, as in NRI.
   */
  open(connection: number, receive: (message: Message) => void): Connection;
  /** Starts to read the socket. Open the connections before. */
  read(): void;
  /** Calls `listener` once, when the trunk closes. */
  onClose(listener: (reason: CriError) => void): void;
  /** Closes the socket and all connections. */
  close(reason: CriError): void;
}

export interface Connection {
  /**
   * Queues a message. The promise is resolved when the kernel has it all, and also when the trunk closes. Throws
   * RESOURCE_EXHAUSTED if the socket would have more than `maxWaitingBytes` for the peer, and UNAVAILABLE if the trunk
   * is closed.
   */
  send(message: Message, maxWaitingBytes?: number): Promise<void>;
}

/**
 * Multiplexes ttrpc connections over `socket`, which belongs to the trunk from now on. The trunk closes if the peer
 * breaks the protocol, or reads nothing for 30 s although bytes wait for it.
 */
export function createTrunk(socket: Socket): Trunk {
  const receivers = new Map<number, (bytes: Buffer) => void>();
  const listeners: ((reason: CriError) => void)[] = [];
  const parse = frameParser();
  const writer = createTrunkWriter(socket, (description) =>
    close(new CriError('UNAVAILABLE', `the peer does not read: ${description}`)),
  );
  let closed: CriError | undefined;
  let isReading = false;

  const close = (reason: CriError): void => {
    if (closed) return;
    closed = reason;
    socket.destroy();
    writer.end();
    for (const listener of listeners.splice(0)) listener(reason);
  };
  const closedByPeer = (): void => close(new CriError('UNAVAILABLE', 'the peer closed the connection'));
  // Without a listener, an error of the socket would end the process.
  socket.on('error', ({ message }) => close(new CriError('UNAVAILABLE', `connection failed: ${message}`)));
  socket.on('close', closedByPeer);
  // The socket closes only when everything is written, which a peer that does not read would prevent.
  socket.on('end', closedByPeer);

  const deliver = (chunk: Buffer): void => {
    try {
      for (const { connection, bytes } of parse(chunk)) {
        if (closed) return;
        receivers.get(connection)?.(bytes);
      }
    } catch (thrown) {
      close(faultOf(thrown));
    }
  };
  return {
    get closed() {
      return closed;
    },
    open(connection, receive) {
      if (receivers.has(connection)) throw new CriError('ALREADY_EXISTS', `connection ${connection} is open`);
      const parse = messageParser();
      receivers.set(connection, (bytes) => {
        for (const message of parse(bytes)) {
          if (closed) return;
          receive(message);
        }
      });
      return {
        async send(message, maxWaitingBytes = Infinity) {
          if (closed) throw closed;
          const frames = encodeFrames(connection, encodeMessage(message));
          const bytes = frames.reduce((sum, { length }) => sum + length, 0);
          if (writer.waitingBytes + bytes > maxWaitingBytes)
            throw new CriError('RESOURCE_EXHAUSTED', `${writer.waitingBytes} bytes wait for the peer already`);
          await writer.write(frames);
        },
      };
    },
    read() {
      if (isReading) return;
      isReading = true;
      socket.on('data', deliver);
    },
    onClose(listener) {
      if (closed) listener(closed);
      else listeners.push(listener);
    },
    close,
  };
}

function faultOf(thrown: unknown): CriError {
  if (thrown instanceof FrameTooLong || thrown instanceof MessageTooLong)
    return new CriError('UNAVAILABLE', `the peer broke the protocol: ${thrown.message}`);
  return new CriError('UNAVAILABLE', `connection failed: ${CriError.from(thrown).message}`);
}
