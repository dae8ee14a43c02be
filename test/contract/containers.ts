import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codeOf, containerOf, plain, textAny, type Subject } from './subject.js';

export function testContainers(subject: () => Subject): void {
  test('a container keeps every field, and its time of creation', async () => {
    const { containers } = subject().containerd;
    const record = containerOf('whole', {
      labels: { 'io.example/a': '1', b: '2' },
      image: 'an-image',
      runtime: { name: 'io.containerd.runc.v2', options: textAny('options') },
      spec: textAny('spec'),
      snapshotter: 'overlayfs',
      snapshotKey: 'whole',
      extensions: { one: textAny('1'), 'two.dotted': textAny('2') },
    });
    const { createdAtNs = 0n, ...created } = await containers.create(record);
    assert.ok(createdAtNs > 0n);
    assert.deepEqual(plain(created), plain(record));
    assert.deepEqual(plain(await containers.get('whole')), plain({ ...record, createdAtNs }));
    await containers.delete('whole');
  });

  test('an update of a container changes the named fields alone', async () => {
    const { containers } = subject().containerd;
    await containers.create(
      containerOf('updated', {
        labels: { a: '1', b: '2', c: '3' },
        image: 'before',
        spec: textAny('before'),
        extensions: { one: textAny('1'), 'two.dotted': textAny('2') },
      }),
    );
    await containers.update(
      {
        id: 'updated',
        labels: { a: 'changed', b: 'not named', d: 'new' },
        image: 'not named',
        spec: textAny('after'),
        extensions: { 'two.dotted': textAny('changed'), three: textAny('new'), four: textAny('not named') },
      },
      ['labels.a', 'labels.c', 'labels.d', 'spec', 'extensions.two.dotted', 'extensions.three'],
    );
    const { labels, image, spec, extensions } = await containers.get('updated');
    assert.deepEqual(plain({ labels, image, spec, extensions }), {
      // A named label that is not given is removed.
      labels: { a: 'changed', b: '2', d: 'new' },
      image: 'before',
      spec: plain(textAny('after')),
      extensions: plain({ one: textAny('1'), 'two.dotted': textAny('changed'), three: textAny('new') }),
    });
    await containers.delete('updated');
  });

  test('containers are listed by filters, of which one must match', async () => {
    const { containers } = subject().containerd;
    const labels = { 'io.example/kind': 'sandbox', other: 'x' };
    await containers.create(containerOf('0a', { labels }));
    await containers.create(containerOf('1b', { labels: { 'io.example/kind': 'container' } }));
    const ids = async (...filters: string[]) => (await containers.list(filters)).map(({ id }) => id).sort();
    assert.deepEqual(
      {
        all: await ids(),
        byLabel: await ids('labels."io.example/kind"==sandbox'),
        byTwo: await ids('labels."io.example/kind"==sandbox,labels.other==y'),
        byEither: await ids('labels.other==x', 'id==1b'),
        byPattern: await ids('id~="^[01]"'),
        byPresence: await ids('labels.other'),
        byDifference: await ids('id!=0a'),
      },
      {
        all: ['0a', '1b'],
        byLabel: ['0a'],
        byTwo: [],
        byEither: ['0a', '1b'],
        byPattern: ['0a', '1b'],
        byPresence: ['0a'],
        byDifference: ['1b'],
      },
    );
    await containers.delete('0a');
    await containers.delete('1b');
  });

  test('calls on containers fail with these codes', async () => {
    const { containers } = subject().containerd;
    await containers.create(containerOf('taken'));
    assert.deepEqual(
      {
        existing: await codeOf(containers.create(containerOf('taken'))),
        withoutRuntime: await codeOf(containers.create(containerOf('bare', { runtime: { name: '' } }))),
        missing: await codeOf(containers.get('missing')),
        updateOfMissing: await codeOf(containers.update({ id: 'missing', labels: { a: '1' } }, ['labels.a'])),
        noField: await codeOf(containers.update({ id: 'taken' }, [])),
        unknownField: await codeOf(containers.update({ id: 'taken' }, ['colour'])),
        extensionNotGiven: await codeOf(containers.update({ id: 'taken' }, ['extensions.one'])),
        deleteOfMissing: await codeOf(containers.delete('missing')),
      },
      {
        existing: 'ALREADY_EXISTS',
        withoutRuntime: 'INVALID_ARGUMENT',
        missing: 'NOT_FOUND',
        updateOfMissing: 'NOT_FOUND',
        noField: 'INVALID_ARGUMENT',
        unknownField: 'INVALID_ARGUMENT',
        extensionNotGiven: 'INVALID_ARGUMENT',
        deleteOfMissing: 'no error',
      },
    );
    await containers.delete('taken');
  });
}
