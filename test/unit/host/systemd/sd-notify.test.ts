import assert from 'node:assert/strict';
import { closeSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { isCode } from '../../../../src/base/errors.js';
import { call, systemCall } from '../../../../src/host/syscall/libc.js';
import { createSdNotify } from '../../../../src/host/systemd/sd-notify.js';
import { countFds, folderFor } from '../helpers.js';

const socketCall = systemCall('socket', ['int', 'int', 'int']);
const bind = systemCall('bind', ['int', 'void *', 'uint']);
const recv = systemCall('recv', ['int', 'void *', 'size_t', 'int'], 'recv', 'long');

/** The service manager's end: a datagram socket at `path` ("\0…": abstract). */
function manager(t: TestContext, path: string): { next(): string } {
  const fd = call(socketCall, path, 1, 2, 0);
  t.after(() => closeSync(fd));
  const address = Buffer.concat([Buffer.from([1, 0]), Buffer.from(path)]);
  call(bind, path, fd, address, address.length);
  return {
    next() {
      const buffer = Buffer.alloc(4096);
      return buffer.subarray(0, call(recv, path, fd, buffer, buffer.length, 0x40)).toString();
    },
  };
}

test('a message has all its variables, each once', (t) => {
  const path = join(folderFor(t), 'notify');
  const { next } = manager(t, path);
  const fds = countFds();
  const systemd = createSdNotify({ NOTIFY_SOCKET: path });
  systemd.notify({ READY: '1', STATUS: 'two\nlines' });
  assert.deepEqual([next(), countFds(), systemd.watchdogIntervalMs], ['READY=1\nSTATUS=two lines', fds, undefined]);
});

test('an abstract socket', (t) => {
  const name = `crid-test-notify-${process.pid}`;
  const { next } = manager(t, `\0${name}`);
  createSdNotify({ NOTIFY_SOCKET: `@${name}` }).notify({ STOPPING: '1' });
  assert.equal(next(), 'STOPPING=1');
});

test('children of crid do not inherit the channel; a watchdog for another process is ignored', () => {
  const own = { NOTIFY_SOCKET: '/n', WATCHDOG_USEC: '3000000', WATCHDOG_PID: String(process.pid), PATH: '/bin' };
  const others = { ...own, WATCHDOG_PID: '1' };
  assert.deepEqual(
    [createSdNotify(own).watchdogIntervalMs, createSdNotify(others).watchdogIntervalMs, own, others],
    [1500, undefined, { PATH: '/bin' }, { PATH: '/bin' }],
  );
});

test('without a service manager nothing happens; a socket that is gone or none is an error', () => {
  const alone = createSdNotify({});
  alone.notify({ READY: '1' });
  assert.equal(alone.watchdogIntervalMs, undefined);
  assert.throws(
    () => createSdNotify({ NOTIFY_SOCKET: '/nowhere/notify' }).notify({ READY: '1' }),
    (error) => isCode(error, 'NOT_FOUND'),
  );
  for (const NOTIFY_SOCKET of ['vsock:2:1234', 'notify', `/${'x'.repeat(108)}`]) {
    assert.throws(
      () => createSdNotify({ NOTIFY_SOCKET }),
      (error) => isCode(error, 'INVALID_ARGUMENT'),
    );
  }
});
