import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codeOf, type Subject } from './subject.js';

export function testImages(subject: () => Subject): void {
  test('an image takes another name, and an update changes the named labels alone', async () => {
    const { containerd, image } = subject();
    const { images } = containerd;
    const { target } = await images.get(image.name);
    const other = { name: 'other', labels: { a: '1', b: '2' }, target };
    assert.deepEqual(await images.create(other), other);
    await images.update({ ...other, labels: { a: '2', b: 'not named' } }, ['labels.a']);
    assert.deepEqual(await images.list(['name==other']), [{ ...other, labels: { a: '2', b: '2' } }]);
    assert.deepEqual(
      (await images.list([`target.digest~="^${target.digest.slice(0, 12)}"`])).map(({ name }) => name).sort(),
      [image.name, 'other'].sort(),
    );
    await images.delete('other', true);
  });

  test('the content of an image is read whole, or refused', async () => {
    const { containerd, image } = subject();
    const { content, images } = containerd;
    const { digest, size } = (await images.get(image.name)).target;
    const pieces: Uint8Array[] = [];
    for await (const piece of content.stream(digest)) pieces.push(piece);
    assert.deepEqual(
      {
        read: BigInt((await content.read(digest, Number(size))).length),
        streamed: BigInt(Buffer.concat(pieces).length),
        size: (await content.info(digest)).size,
        tooLarge: await codeOf(content.read(digest, 10)),
        missing: await codeOf(content.read(`sha256:${'0'.repeat(64)}`, 10)),
      },
      { read: size, streamed: size, size, tooLarge: 'RESOURCE_EXHAUSTED', missing: 'NOT_FOUND' },
    );
    const { labels } = await content.info(digest);
    await content.label(digest, { mine: 'yes' });
    assert.deepEqual((await content.info(digest)).labels, { ...labels, mine: 'yes' });
    await content.label(digest, { mine: '' });
    assert.deepEqual((await content.info(digest)).labels, labels);
  });

  test('calls on images fail with these codes', async () => {
    const { containerd, image } = subject();
    const { images } = containerd;
    const record = await images.get(image.name);
    assert.deepEqual(
      {
        existing: await codeOf(images.create(record)),
        missing: await codeOf(images.get('missing')),
        updateOfMissing: await codeOf(images.update({ ...record, name: 'missing' }, ['target'])),
        deleteOfMissing: await codeOf(images.delete('missing', false)),
      },
      {
        existing: 'ALREADY_EXISTS',
        missing: 'NOT_FOUND',
        updateOfMissing: 'NOT_FOUND',
        deleteOfMissing: 'no error',
      },
    );
  });
}
