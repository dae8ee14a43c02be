import assert from 'node:assert/strict';
import { it } from 'node:test';
import { kubeletFollow, kubeletGet } from '../../harness/kubelet-api.js';
import { limitMs } from '../../harness/slowness.js';
import { openCommand, openSpdy, openTunnel } from '../../harness/streaming/spdy-client.js';
import { openWebSocket } from '../../harness/streaming/websocket-client.js';
import { until } from '../../../tools/stack/wait.js';
import { STAY } from '../manifest.js';
import type { PodHandle } from '../pod-handle.js';
import { KUBELET_MINOR, type KubeletSuite } from '../suite.js';

const V5 = 'v5.channel.k8s.io';
const SUCCESS = '{"metadata":{},"status":"Success"}';
const LIMIT_MS = 60_000;

/** Tests of the kubelet's API for logs, exec, attach and port-forward, over both streaming protocols. */
export function apiTests(suite: KubeletSuite): void {
  const url = (what: string, pod: PodHandle, container: string, query: string): string =>
    `${suite.kubelet.url}/${what}/default/${pod.name}/${container}?${query}`;
  const command = (...words: string[]): string => words.map((word) => `command=${encodeURIComponent(word)}`).join('&');

  it('shows logs: all, the last lines, the first bytes, with times, and as they come', async () => {
    const pod = await suite.pod('logs', {
      containers: [
        {
          name: 'main',
          script: `echo one; echo two; echo three; until test -e /tmp/go; do sleep 0.2; done; echo four; ${STAY}`,
        },
      ],
    });
    await pod.logged('main', /three/);
    assert.equal(await pod.log('main', '?tailLines=1&limitBytes=3'), 'thr');
    const follow = await kubeletFollow(suite.kubelet.url, `/containerLogs/default/${pod.name}/main?follow=true`);
    await until('the log is shown', limitMs(LIMIT_MS), () => (follow.text().includes('three\n') ? true : undefined));
    await pod.run('main', 'touch /tmp/go');
    await until('the log is followed', limitMs(LIMIT_MS), () => (follow.text().includes('four\n') ? true : undefined));
    follow.stop();
    assert.equal(follow.text(), 'one\ntwo\nthree\nfour\n');
    assert.equal(await pod.log('main', '?tailLines=2'), 'three\nfour\n');
    assert.match(
      await pod.log('main', '?timestamps=true'),
      /^(\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d) (one|two|three|four)\n){4}$/,
    );
  });

  it('runs a command and returns its output', async () => {
    const pod = await suite.pod('run', { containers: [{ name: 'main' }] });
    await pod.ready();
    assert.equal(await kubeletGet(suite.kubelet.url, `/run/default/${pod.name}/main?cmd=echo+here`, 'POST'), 'here\n');
  });

  it('executes a command over SPDY and over a WebSocket', async () => {
    const pod = await suite.pod('exec', { containers: [{ name: 'main' }] });
    await pod.ready();
    const script = command('sh', '-c', 'cat; echo err >&2; exit 4');
    const target = url('exec', pod, 'main', `input=1&output=1&error=1&${script}`);
    const spdy = await openCommand(target, true);
    spdy.stdin?.write('by SPDY\n');
    spdy.stdin?.end();
    const [stdout, stderr, error] = await Promise.all([spdy.stdout.all, spdy.stderr.all, spdy.error.all]);
    assert.deepEqual([String(stdout), String(stderr)], ['by SPDY\n', 'err\n']);
    assert.match(String(error), /"reason":"ExitCode","message":"4"/);

    const socket = await openWebSocket(target, [V5]);
    socket.send(0, 'by WebSocket\n');
    socket.end(0);
    assert.equal(await socket.closed, 1000);
    assert.deepEqual([String(socket.received(1)), String(socket.received(2))], ['by WebSocket\n', 'err\n']);
    assert.match(String(socket.received(3)), /"reason":"ExitCode","message":"4"/);
  });

  it('gives a command a terminal, and its size', async () => {
    const pod = await suite.pod('exec-tty', { containers: [{ name: 'main' }] });
    await pod.ready();
    const script = command('sh', '-c', 'until [ "$(stty size)" = "33 99" ]; do sleep 0.1; done; echo sized');
    const socket = await openWebSocket(url('exec', pod, 'main', `input=1&output=1&tty=1&${script}`), [V5]);
    socket.send(4, '{"Width":99,"Height":33}');
    await socket.until(1, (bytes) => bytes.includes('sized\r\n'));
    assert.equal(await socket.closed, 1000);
    assert.equal(String(socket.received(3)), SUCCESS);
  });

  it('attaches to a container over SPDY and over a WebSocket', async () => {
    const echo = { script: 'while read -r line; do echo "got $line"; done', stdin: true };
    const pod = await suite.pod('attach', {
      containers: [
        { name: 'first', ...echo },
        { name: 'second', ...echo },
      ],
    });
    await pod.ready();
    const query = 'input=1&output=1&error=1';
    const socket = await openWebSocket(url('attach', pod, 'first', query), [V5]);
    const asking = setInterval(() => socket.send(0, 'a WebSocket\n'), 500);
    await socket.until(1, (bytes) => bytes.includes('got a WebSocket\n')).finally(() => clearInterval(asking));
    socket.socket.destroy();
    const spdy = await openCommand(url('attach', pod, 'second', query), true);
    spdy.stdin?.write('a SPDY stream\n');
    await pod.logged('second', /got a SPDY stream/);
    spdy.client.socket.destroy();
    assert.match(String(await spdy.stdout.all), /^(got a SPDY stream\n)?$/);
    const { containerStatuses } = await pod.ready();
    assert.deepEqual(
      containerStatuses?.map(({ restartCount }) => restartCount),
      [0, 0],
    );
  });

  it('forwards a port over SPDY, over SPDY in a WebSocket and over a plain WebSocket', async () => {
    const pod = await suite.pod('forward', {
      containers: [
        {
          name: 'main',
          script: `mkdir /www; echo -n page > /www/page; httpd -p 8080 -h /www && echo listens; ${STAY}`,
        },
      ],
    });
    await pod.logged('main', /listens/);
    const target = `${suite.kubelet.url}/portForward/default/${pod.name}`;
    const request = 'GET /page HTTP/1.0\r\n\r\n';
    // The kubelet serves tunnels since 1.36. Before, only an API server did.
    for (const open of KUBELET_MINOR >= 36 ? [openSpdy, openTunnel] : [openSpdy]) {
      const client = await (open === openSpdy ? openSpdy(target, 'portforward.k8s.io') : openTunnel(target));
      const pair = { port: '8080', requestID: '1' };
      const error = await client.open({ ...pair, streamType: 'error' });
      error.end();
      const data = await client.open({ ...pair, streamType: 'data' });
      data.write(request);
      data.end();
      assert.match(String(await data.all), /^HTTP\/1\.[01] 200 OK\r\n[^]*\r\n\r\npage$/);
      assert.equal(String(await error.all), '');
      client.socket.destroy();
    }
    const socket = await openWebSocket(`${target}?port=8080`, ['v4.channel.k8s.io']);
    socket.send(0, request);
    await socket.until(0, (bytes) => bytes.includes('page'));
    socket.socket.destroy();
  });
}
