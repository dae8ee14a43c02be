import assert from 'node:assert/strict';
import { it } from 'node:test';
import { image } from '../../../tools/stack/image-parts.js';
import { layer, pushImage } from '../../../tools/stack/image-push.js';
import { ensureProgram } from '../../../tools/stack/programs.js';
import type { KubeletSuite } from '../suite.js';

/** Tests of images that do not exist, or do not exist yet. */
export function imageTests(suite: KubeletSuite): void {
  it('backs off from an image that does not exist, and continues once it does', async () => {
    const name = 'crid-test/late';
    const pod = await suite.pod('late-image', {
      containers: [{ name: 'main', image: `${suite.registry.host}/${name}:latest`, imagePullPolicy: 'Always' }],
    });
    const waiting = await pod.container('main', 'waits for its image', ({ state }) =>
      state?.waiting?.reason === 'ImagePullBackOff' ? state.waiting : undefined,
    );
    assert.match(waiting.message ?? '', /Back-off pulling image/);
    await pod.event('Failed', new RegExp(`${name}.*not found`));
    suite.expect(new RegExp(`${name}`), 'the image of this pod comes late');
    const program = layer([
      { name: 'grpc-health', mode: 0o755, body: await ensureProgram(suite.stack.layout, 'grpc-health') },
    ]);
    await pushImage(suite.registry.url, image(name, ['latest'], [program], { Cmd: ['/grpc-health', '1', '/none'] }));
    const { containerStatuses } = await pod.ready();
    assert.match(containerStatuses?.[0]?.imageID ?? '', new RegExp(`${name}@sha256:[0-9a-f]{64}$`));
    await pod.event('Pulled', /Successfully pulled image .* Image size: \d{5,} bytes/);
  });

  it('reports an image that must exist and does not, and an invalid name', async () => {
    const never = await suite.pod('image-never', {
      containers: [{ name: 'main', image: 'docker.io/crid-test/absent:1', imagePullPolicy: 'Never' }],
    });
    const odd = await suite.pod('image-odd', { containers: [{ name: 'main', image: 'Not/A:Name:x' }] });
    const reason =
      (wanted: string) =>
      ({ state }: { state?: { waiting?: { reason?: string } } }) =>
        state?.waiting?.reason === wanted ? true : undefined;
    await never.container('main', 'waits', reason('ErrImageNeverPull'));
    await odd.container('main', 'waits', reason('InvalidImageName'));
    suite.expect(/ErrImageNeverPull|InvalidImageName|Not\/A:Name/, 'these images are there to fail');
  });

  it('names a registry that does not answer', async () => {
    const pod = await suite.pod('registry-down', {
      containers: [{ name: 'main', image: '127.0.0.1:1/crid-test/absent:1', imagePullPolicy: 'Always' }],
    });
    const message = await pod.container('main', 'backs off', ({ state }) =>
      state?.waiting?.reason === 'ImagePullBackOff' ? (state.waiting.message ?? '') : undefined,
    );
    assert.match(message, /RegistryUnavailable: image pull failed for \S+ because the registry is unavailable: /);
    suite.expect(/registry is unavailable|RegistryUnavailable|127\.0\.0\.1:1\//, 'nothing listens there');
  });
}
