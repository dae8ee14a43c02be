import assert from 'node:assert/strict';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { startCrid, type Crid } from '../../harness/crid.js';
import { assertLeavesNothing, leaks } from '../../harness/leaks.js';
import { runPod, removeAllPods } from '../../harness/pod.js';
import { startStack, testStack, type Stack } from '../../harness/test-stack.js';
import { failure } from '../containerd/lab.js';
import { failureOf } from '../rpc/suite.js';
import { startImages } from './harness.js';
import { tinyImage } from './tiny-image.js';
import { REPOSITORY, startRegistry, type TinyRegistry } from './tiny-registry.js';

/**
 * The code must be UNKNOWN: before any other code, a kubelet does not find the first word of the message
 * (k8s.io/cri-client, pkg/remote_image.go; pkg/kubelet/images/image_manager.go).
 */
const UNAVAILABLE = /^UNKNOWN RegistryUnavailable: /;

const images = startImages('crid-images-reasons', (config) => {
  config.images.image_pull_progress_timeout = '1s';
});
let tiny: TinyRegistry;
const app = (tag: string): string => `${tiny.host}/${REPOSITORY}:${tag}`;

before(images.clear);
beforeEach(async () => {
  tiny = await startRegistry();
});
afterEach(async () => {
  tiny.close();
  await images.clear();
});
after(images.close);

test('a registry that does not run, or whose name is unknown, is unavailable', async () => {
  const stopped = app('latest');
  tiny.close();
  // Go answers for names below `.onion` without asking a name server.
  for (const image of [stopped, 'registry.onion/team/app:latest']) {
    const answer = await failure(images.pull(image));
    assert.match(answer, UNAVAILABLE);
    assert.ok(answer.includes(image), answer);
  }
  await images.assertOnly([]);
});

test('a registry that fails or does not answer is unavailable, whichever request it is', async () => {
  const image = tinyImage();
  tiny.put('app', image);
  for (const status of [500, 502, 503, 504]) {
    tiny.guard = (_, response) => Boolean(response.writeHead(status).end());
    assert.match(await failure(images.pull(app('app'))), UNAVAILABLE, `status ${status}`);
  }
  tiny.guard = ({ url }, response) =>
    Boolean(url?.includes(image.layer.digest)) && Boolean(response.writeHead(503).end());
  assert.match(await failure(images.pull(app('app'))), UNAVAILABLE, 'a layer');
  tiny.guard = () => true;
  assert.match(await failure(images.pull(app('app'))), UNAVAILABLE, 'no answer');
  await images.assertOnly([]);
  tiny.guard = () => false;
  await images.pull(app('app'));
});

test('a registry that refuses is not unavailable', async () => {
  tiny.put('app', tinyImage());
  const answers: Record<number, RegExp> = {
    401: /^UNAUTHENTICATED (?!RegistryUnavailable)/,
    403: /^PERMISSION_DENIED (?!RegistryUnavailable)/,
    404: /^NOT_FOUND (?!RegistryUnavailable)/,
    429: /^RESOURCE_EXHAUSTED (?!RegistryUnavailable)/,
  };
  for (const [status, expected] of Object.entries(answers)) {
    tiny.guard = (_, response) => Boolean(response.writeHead(Number(status)).end());
    assert.match(await failure(images.pull(app('app'))), expected);
  }
});

/** A program of containerd's image verifiers (containerd docs/image-verification.md): it accepts one tag. */
const VERIFIER = `#!/bin/sh
while [ $# -gt 0 ]; do
  [ "$1" = -name ] && name=$2
  shift
done
case $name in
  *:signed) echo "signed by the tests" ;;
  *:broken) sleep 60 ;;
  *) echo "no signature, 401 and 404"; exit 1 ;;
esac
`;

test("containerd's image verifiers are in force", { timeout: 300_000 }, async (t) => {
  const { stack, crid } = await startVerified();
  t.after(async () => {
    await removeAllPods(crid);
    await crid.stop();
    crid.close();
    await stack.dispose();
  });
  tiny.put('signed', tinyImage());
  tiny.put('unsigned', tinyImage());
  tiny.put('broken', tinyImage());
  const idle = await leaks(stack, 'k8s.io');
  for (const tag of ['unsigned', 'broken']) {
    const { code, message } = await failureOf(crid.images.pullImage({ image: { image: app(tag) } }));
    assert.match(`${code} ${message}`, /^UNKNOWN SignatureValidationFailed: .*image verifier bindir /);
    assert.ok(message.includes(app(tag)), message);
    assert.equal((await crid.images.imageStatus({ image: { image: app(tag) } })).image, undefined);
  }
  await assertLeavesNothing(stack, idle, 'k8s.io');
  assert.ok(!tiny.requests.some((request) => request.includes('/blobs/')), 'no blob of a refused image is fetched');

  await crid.images.pullImage({ image: { image: app('signed') } });
  assert.notEqual((await crid.images.imageStatus({ image: { image: app('signed') } })).image, undefined);

  // The pause image is refused too: the reason is first, before the steps.
  const { code, message } = await failureOf(runPod(crid, stack));
  assert.match(`${code} ${message}`, /^PERMISSION_DENIED SignatureValidationFailed: /);
});

async function startVerified(): Promise<{ stack: Stack; crid: Crid }> {
  const { dir, registry } = await testStack();
  const verifiers = join(dir, `verifiers-${process.pid}`);
  await mkdir(verifiers);
  await writeFile(join(verifiers, 'tests'), VERIFIER);
  await chmod(join(verifiers, 'tests'), 0o755);
  const extraToml = `[plugins."io.containerd.image-verifier.v1.bindir"]
bin_dir = ${JSON.stringify(verifiers)}
max_verifiers = 1
per_verifier_timeout = "2s"
`;
  const stack = await startStack({ registryUrl: registry.url, extraToml });
  return { stack, crid: await startCrid(stack) };
}
