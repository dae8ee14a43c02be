import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** Returns the status line and headers of the response to an upgrade, and the bytes that followed them. */
export async function upgrade(url: string, headers: readonly string[], method = 'GET') {
  const { hostname, port, pathname, search, protocol } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  const options = { host, port: Number(port), allowHalfOpen: true };
  const socket: Socket =
    protocol === 'https:' ? connectTls({ ...options, rejectUnauthorized: false }) : connect(options);
  socket.on('error', () => socket.destroy());
  await once(socket, protocol === 'https:' ? 'secureConnect' : 'connect');
  socket.write(
    [`${method} ${pathname}${search} HTTP/1.1`, `Host: ${host}`, 'Connection: Upgrade', ...headers].join('\r\n'),
  );
  socket.write('\r\n\r\n');
  let bytes = Buffer.alloc(0);
  for (;;) {
    const end = bytes.indexOf('\r\n\r\n');
    if (end >= 0) return { socket, head: bytes.toString('latin1', 0, end), rest: bytes.subarray(end + 4) };
    const chunk = socket.read() as Buffer | null;
    if (chunk) bytes = Buffer.concat([bytes, chunk]);
    else if (socket.readableEnded || socket.destroyed) return { socket, head: bytes.toString('latin1'), rest: bytes };
    else await Promise.race([once(socket, 'readable'), once(socket, 'close'), once(socket, 'end')]);
  }
}
