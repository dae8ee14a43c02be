import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { failure } from '../containerd/lab.js';
import { certsDir, startImages } from './harness.js';
import { indexOf, tinyImage } from './tiny-image.js';
import { demand, REPOSITORY, stallAt, startRegistry, type TinyRegistry } from './tiny-registry.js';

const images = startImages('crid-images-failures', (config) => {
  config.images.image_pull_progress_timeout = '1s';
});
let tiny: TinyRegistry;
const app = (tag: string): string => `${tiny.host}/${REPOSITORY}:${tag}`;
const basic = `Basic ${Buffer.from('jo:correct-horse').toString('base64')}`;

before(images.clear);
beforeEach(async () => {
  tiny = await startRegistry();
});
afterEach(async () => {
  tiny.close();
  await images.clear();
});
after(images.close);

test('an invalid reference is refused with its field', async () => {
  for (const name of ['', 'Team/App:latest:', 'an image', 'docker.io/library/UPPER', 'a@sha256:12', 'a'.repeat(2000)]) {
    assert.match(await failure(images.pull(name)), /^INVALID_ARGUMENT image\.image: /);
  }
});

test('an image or a registry that does not exist', async () => {
  assert.match(await failure(images.pull(app('none'))), /^NOT_FOUND .*team\/app:none/);
  const answer = await failure(images.pull('127.0.0.1:1/team/app:latest'));
  assert.match(answer, /^UNKNOWN RegistryUnavailable: .*127\.0\.0\.1:1\/team\/app/);
  await images.assertOnly([]);
});

test('credentials work in every form that CRI has; wrong ones do not, and are shown nowhere', async () => {
  const image = tinyImage();
  tiny.put('private', image);
  tiny.guard = demand('jo', 'correct-horse');
  const right = [
    { username: 'jo', password: 'correct-horse' },
    { auth: Buffer.from('jo:correct-horse').toString('base64') },
    { username: 'jo', password: 'correct-horse', server_address: `http://${tiny.host}/v2/` },
  ];
  for (const auth of right) assert.equal(await images.pull(app('private'), { auth }), image.config.digest);
  const wrong = await failure(images.pull(app('private'), { auth: { username: 'jo', password: 'wrong-horse' } }));
  assert.match(wrong, /^UNAUTHENTICATED .*team\/app:private/);
  assert.doesNotMatch(wrong, /wrong-horse/);
  assert.match(await failure(images.pull(app('private'))), /^UNAUTHENTICATED /);
  const broken = await failure(images.pull(app('private'), { auth: { auth: 'c2VjcmV0' } }));
  assert.equal(broken, 'INVALID_ARGUMENT auth.auth: expected base64 of user:password');
  for (const record of await images.containerd.images.list([])) {
    assert.doesNotMatch(JSON.stringify(record.labels), /horse|am86/);
  }
});

test('a pull never joins one with other credentials', async () => {
  const image = tinyImage();
  tiny.put('shared', image);
  tiny.guard = demand('jo', 'correct-horse');
  const right = { username: 'jo', password: 'correct-horse' };
  const answers = await Promise.all([
    images.pull(app('shared'), { auth: right }),
    failure(images.pull(app('shared'))),
    failure(images.pull(app('shared'), { auth: { ...right, password: 'wrong-horse' } })),
    images.pull(app('shared'), { auth: right }),
  ]);
  assert.deepEqual(
    answers.map((answer) => answer.split(' ')[0]),
    [image.config.digest, 'UNAUTHENTICATED', 'UNAUTHENTICATED', image.config.digest],
  );
});

test('credentials are sent to the mirrors of the registry, unless server_address names another', async (t) => {
  const mirror = await startRegistry();
  t.after(mirror.close);
  const image = tinyImage();
  mirror.put('private', image);
  tiny.guard = demand('jo', 'correct-horse');
  mirror.guard = demand('jo', 'correct-horse');
  const hosts = `server = "http://${tiny.host}"\n[host."http://${mirror.host}"]\ncapabilities = ["pull", "resolve"]\n`;
  const certs = await certsDir(tiny.host, hosts);
  t.after(certs.remove);
  images.deps.config.images.registry.config_path = certs.path;
  t.after(() => (images.deps.config.images.registry.config_path = ''));

  const auth = { username: 'jo', password: 'correct-horse' };
  for (const address of ['https://registry.invalid', `http://${tiny.host}`]) {
    const answer = await failure(images.pull(app('private'), { auth: { ...auth, server_address: address } }));
    assert.match(answer, /^(UNAUTHENTICATED|NOT_FOUND) /);
  }
  assert.ok(mirror.requests.length > 0);
  assert.deepEqual([[...mirror.authorizations], [...tiny.authorizations]], [[], [basic]]);

  tiny.guard = () => assert.fail('the mirror has it');
  assert.equal(await images.pull(app('private'), { auth }), image.config.digest);
  assert.deepEqual([...mirror.authorizations], [basic]);
});

test('CVE-2020-15157: a host that only a manifest names gets no credentials, and registry tokens are refused', async (t) => {
  const foreign = await startRegistry();
  t.after(foreign.close);
  foreign.guard = demand('jo', 'correct-horse');
  const image = tinyImage({ urls: [`http://${foreign.host}/v2/team/app/blobs/x`] });
  tiny.put('foreign', image);
  const token = await failure(images.pull(app('foreign'), { auth: { registry_token: 'bearer-token' } }));
  assert.match(token, /^INVALID_ARGUMENT auth\.registry_token: (?!.*bearer-token)/);
  assert.deepEqual([tiny.requests, foreign.requests], [[], []]);

  tiny.guard = demand('jo', 'correct-horse');
  const answer = await failure(images.pull(app('foreign'), { auth: { username: 'jo', password: 'correct-horse' } }));
  assert.match(answer, /^UNAUTHENTICATED /);
  assert.deepEqual([foreign.requests.length > 0, [...foreign.authorizations]], [true, []]);

  foreign.guard = () => false;
  await images.pull(app('foreign'), { auth: { username: 'jo', password: 'correct-horse' } });
  assert.deepEqual([[...tiny.authorizations], [...foreign.authorizations]], [[basic], []]);
});

test('a registry that stops in the middle of a layer fails the pull, which names the layer', async () => {
  const image = tinyImage();
  tiny.put('stalling', image);
  tiny.guard = stallAt(image.layer);
  const answer = await failure(images.pull(app('stalling')));
  assert.match(answer, /^UNKNOWN RegistryUnavailable: .*team\/app:stalling": no progress for 1 s/);
  assert.match(answer, new RegExp(`layer-${image.layer.digest} \\(\\d+ of ${image.layer.bytes.length} bytes\\)`));
  await images.assertOnly([]);
  tiny.guard = () => false;
  assert.equal(await images.pull(app('stalling')), image.config.digest);
});

test('a registry that never responds fails the pull', async () => {
  tiny.guard = () => true;
  assert.match(
    await failure(images.pull(app('silent'))),
    /^UNKNOWN RegistryUnavailable: .*no progress for 1 s.*waiting for the registry$/,
  );
  await images.assertOnly([]);
});

test('the step and the layer that a pull waits for are shown while it waits', async () => {
  const image = tinyImage();
  tiny.put('waiting', image);
  tiny.guard = stallAt(image.layer);
  const pulling = failure(images.pull(app('waiting')));
  const waitingOn = (): string => images.deps.operations.list()[0]?.steps[0]?.waitingOn ?? '';
  while (!waitingOn().startsWith('layer-') && images.deps.operations.list().length > 0) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.match(waitingOn(), new RegExp(`^layer-${image.layer.digest} `));
  await pulling;
});

test('a snapshotter that containerd lacks is named, and the pull leaves nothing behind', async () => {
  tiny.put('nowhere', tinyImage());
  const answer = await failure(images.pull(app('nowhere'), { handler: 'not-there' }));
  assert.match(answer, /^[A-Z_]+ .*not-there/);
  await images.assertOnly([]);
  assert.deepEqual(images.deps.images.list(), []);
});

test('a pull that fails at its last step leaves the records as they were', async () => {
  const [old, foreign] = [tinyImage(), tinyImage({ architecture: 'mips' })];
  const index = indexOf({ mips: foreign });
  const records = async () =>
    (await images.containerd.images.list([])).map(({ name, target }) => [name, target.digest]);
  tiny.put('foreign', foreign, index);
  assert.match(await failure(images.pull(app('foreign'))), /^NOT_FOUND .*team\/app:foreign".* no image for linux\//);
  await images.assertOnly([]);
  tiny.put('moving', old);
  await images.pull(app('moving'));
  const before = await records();
  tiny.put('moving', foreign, index);
  assert.match(await failure(images.pull(app('moving'))), /^NOT_FOUND /);
  assert.deepEqual(await records(), before);
  assert.equal(images.deps.images.get(app('moving'))?.id, old.config.digest);
});

test('a damaged layer is refused, and no error contains the query of a URL', async () => {
  const image = tinyImage();
  tiny.put('damaged', image);
  tiny.guard = (request, response) => {
    if (request.url?.startsWith('/storage')) {
      response.writeHead(403).end();
      return true;
    }
    if (!request.url?.includes(image.layer.digest)) return false;
    response.writeHead(307, { location: `http://${tiny.host}/storage?signature=query-secret` }).end();
    return true;
  };
  const answer = await failure(images.pull(app('damaged')));
  assert.match(answer, /^PERMISSION_DENIED /);
  assert.doesNotMatch(answer, /query-secret/);
  tiny.guard = (request, response) => {
    if (!request.url?.includes(image.layer.digest)) return false;
    response.writeHead(200, { 'content-length': image.layer.bytes.length });
    response.end(Buffer.alloc(image.layer.bytes.length));
    return true;
  };
  assert.match(await failure(images.pull(app('damaged'))), /team\/app:damaged/);
  await images.assertOnly([]);
});
