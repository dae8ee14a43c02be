import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import type { PullProgress, RegistryAuth } from '../../../src/containerd/containerd.js';
import { until } from '../../../tools/stack/wait.js';
import { isAtLeast } from '../../../src/runtime/containerd-version.js';
import { busybox, chainId, connect, empty, failure, pullOf, registry, snapshotter } from './lab.js';
import { startProxy, unauthorized } from './proxy.js';

const containerd = connect('crid-test-transfer');
const pull = (reference: string, credentials?: (host: string) => RegistryAuth | undefined, hostDir = '') =>
  containerd.transfer.pull({ ...pullOf(reference), credentials, hostDir });
const only = (host: string, auth: RegistryAuth) => (asked: string) => (asked === host ? auth : undefined);
const basic = `Basic ${Buffer.from('jo:correct-horse').toString('base64')}`;
const image = (host: string): string => `${host}/library/busybox:latest`;

before(() => empty(containerd));
after(async () => {
  await empty(containerd);
  containerd.close();
});

test('a pull creates the image record with its labels, unpacks the image and reports its progress', async () => {
  const progress: PullProgress[] = [];
  const target = await containerd.transfer.pull({
    ...pullOf(busybox),
    labels: { mine: 'yes' },
    onProgress: (step) => progress.push(step),
  });
  const record = await containerd.images.get(busybox);
  const { version } = await containerd.introspection.version();
  const reported = isAtLeast(version, 2, 2) ? record.target.digest : undefined;
  assert.deepEqual([record.labels, target?.digest], [{ mine: 'yes' }, reported]);
  const parent = await chainId(containerd, busybox);
  assert.equal((await containerd.snapshots(snapshotter).stat(parent)).kind, 'committed');
  assert.ok(progress.some(({ event }) => event === `Completed pull from OCI Registry (${busybox})`));
  assert.ok(progress.some(({ name, total }) => name.startsWith('layer-sha256:') && total > 0n));
  assert.deepEqual(await containerd.leases.list([]), []);
});

test('a registry that demands Basic auth gets the credentials of its host', async (t) => {
  const proxy = await startProxy(({ headers }, response) =>
    headers.authorization === basic ? false : unauthorized(response, 'Basic realm="test"'),
  );
  t.after(proxy.close);
  await pull(image(proxy.host), only(proxy.host, { username: 'jo', password: 'correct-horse' }));
  assert.deepEqual(new Set(proxy.seen), new Set(['', basic]));

  const wrong = await failure(pull(image(proxy.host), only(proxy.host, { username: 'jo', password: 'wrong-horse' })));
  assert.match(wrong, new RegExp(`^UNAUTHENTICATED transfer\\.pull: .*${image(proxy.host)}`));
  assert.match(await failure(pull(image(proxy.host), () => undefined)), /^UNAUTHENTICATED /);
  assert.match(await failure(pull(image(proxy.host))), /^UNAUTHENTICATED /);
});

test('a registry that demands a Bearer token gets one from its token server', async (t) => {
  const bodies: string[] = [];
  const proxy = await startProxy((request, response, host) => {
    if (request.headers.authorization === 'Bearer test-token') return false;
    if (request.method !== 'POST') {
      const realm = `http://${host}/token?signature=query-secret`;
      if (request.url?.startsWith('/v2/') === true) {
        return unauthorized(response, `Bearer realm="${realm}",service="test",scope="repository:x:pull"`);
      }
      response.writeHead(401).end();
      return true;
    }
    void text(request).then((body) => {
      bodies.push(body);
      const good = /password=correct-horse|refresh_token=identity-token/.test(body);
      response.writeHead(good ? 200 : 401).end(JSON.stringify({ access_token: 'test-token', token: 'test-token' }));
    });
    return true;
  });
  t.after(proxy.close);

  await pull(image(proxy.host), only(proxy.host, { username: 'jo', password: 'correct-horse' }));
  await pull(image(proxy.host), only(proxy.host, { identityToken: 'identity-token' }));
  assert.deepEqual(
    bodies.map((body) => new URLSearchParams(body).get('grant_type')),
    ['password', 'refresh_token'],
  );

  const wrong = await failure(pull(image(proxy.host), only(proxy.host, { username: 'jo', password: 'wrong-horse' })));
  assert.match(wrong, /^UNAUTHENTICATED /);
  assert.doesNotMatch(wrong, /wrong-horse|query-secret/);
});

test('credentials go only to the host that they are for', async (t) => {
  const guard: Parameters<typeof startProxy>[0] = ({ headers }, response) =>
    headers.authorization === basic ? false : unauthorized(response, 'Basic realm="test"');
  const [mirror, origin] = [await startProxy(guard), await startProxy(guard)];
  t.after(mirror.close);
  t.after(origin.close);
  const hostDir = await mkdtemp(join(tmpdir(), 'crid-hosts-'));
  t.after(() => rm(hostDir, { recursive: true }));
  await mkdir(join(hostDir, origin.host));
  const hosts = `server = "http://${origin.host}"\n[host."http://${mirror.host}"]\ncapabilities = ["pull", "resolve"]\n`;
  await writeFile(join(hostDir, origin.host, 'hosts.toml'), hosts);

  await pull(image(origin.host), only(origin.host, { username: 'jo', password: 'correct-horse' }), hostDir);
  assert.deepEqual([new Set(mirror.seen), new Set(origin.seen)], [new Set(['']), new Set(['', basic])]);
});

test('errors have the code of the response from the registry', async (t) => {
  const answers: string[] = [];
  for (const status of [403, 404, 429, 503]) {
    const proxy = await startProxy((_request, response) => {
      response.writeHead(status).end();
      return true;
    });
    t.after(proxy.close);
    const answer = await failure(pull(image(proxy.host)));
    assert.ok(answer.includes(image(proxy.host)), answer);
    answers.push(answer.split(' ')[0] ?? '');
  }
  assert.deepEqual(answers, ['PERMISSION_DENIED', 'NOT_FOUND', 'RESOURCE_EXHAUSTED', 'UNAVAILABLE']);
  assert.match(await failure(pull(`${registry}/library/busybox:none`)), /^NOT_FOUND .*busybox:none/);
  assert.match(await failure(pull('127.0.0.1:1/a/b:latest')), /^UNAVAILABLE RegistryUnavailable: .*connection refused/);
  assert.match(await failure(pull('not a reference')), /^INVALID_ARGUMENT .*not a reference/);
});

test('aborting the signal stops the pull in containerd', async (t) => {
  const abort = new AbortController();
  let closed: Promise<unknown> = Promise.reject(new Error('containerd asked for no blob'));
  closed.catch(() => undefined);
  // Digests of blobs in no image, so that containerd must request them.
  const manifestType = 'application/vnd.oci.image.manifest.v1+json';
  const blob = { digest: `sha256:${randomBytes(32).toString('hex')}`, size: 1000 };
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: manifestType,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...blob },
    layers: [],
  });
  const proxy = await startProxy((request, response) => {
    if (request.url?.includes('/blobs/') === true) {
      // This blob begins and never ends: the connection closes only if containerd closes it.
      closed = once(request.socket, 'close');
      response.writeHead(200, { 'content-type': 'application/octet-stream' }).write('{');
      abort.abort();
    } else {
      response.writeHead(200, { 'content-type': manifestType, 'content-length': manifest.length });
      response.end(request.method === 'HEAD' ? undefined : manifest);
    }
    return true;
  });
  t.after(proxy.close);
  const reference = image(proxy.host);
  const answer = await failure(containerd.transfer.pull(pullOf(reference), { signal: abort.signal }));
  assert.equal(answer, `CANCELLED transfer.pull: "${reference}": cancelled by the caller`);
  await closed;
  assert.match(await failure(containerd.images.get(reference)), /^NOT_FOUND /);
  // containerd deletes its own lease a moment after the call has ended.
  await until('no lease is left', 10_000, async () => (await containerd.leases.list([])).length === 0 || undefined);
});
