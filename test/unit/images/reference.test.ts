import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseReference, tryParseReference } from '../../../src/state/image-reference.js';

const HEX = 'a'.repeat(64);
const DIGEST = `sha256:${HEX}`;

test('short forms are expanded', () => {
  const cases = {
    busybox: 'docker.io/library/busybox:latest',
    'busybox:1.36': 'docker.io/library/busybox:1.36',
    'library/busybox': 'docker.io/library/busybox:latest',
    'docker.io/busybox': 'docker.io/library/busybox:latest',
    'index.docker.io/team/app': 'docker.io/team/app:latest',
    'team/app': 'docker.io/team/app:latest',
    'localhost:5000': 'docker.io/library/localhost:5000',
    'localhost/app': 'localhost/app:latest',
    '127.0.0.1:5000/library/busybox:latest': '127.0.0.1:5000/library/busybox:latest',
    '[::1]:5000/app': '[::1]:5000/app:latest',
    'Registry/app': 'Registry/app:latest',
    'registry.k8s.io/pause:3.10': 'registry.k8s.io/pause:3.10',
    [`busybox@${DIGEST}`]: `docker.io/library/busybox@${DIGEST}`,
    [`a.b/c/d__e.f-g:tag@${DIGEST}`]: `a.b/c/d__e.f-g@${DIGEST}`,
    [`a@sha512:${'b'.repeat(128)}`]: `docker.io/library/a@sha512:${'b'.repeat(128)}`,
    [`app:${'t'.repeat(128)}`]: `docker.io/library/app:${'t'.repeat(128)}`,
  };
  assert.deepEqual(Object.fromEntries(Object.keys(cases).map((text) => [text, tryParseReference(text)?.text])), cases);
});

test('the parts of a reference', () => {
  assert.deepEqual(parseReference('127.0.0.1:5000/team/app:v1', 'image'), {
    domain: '127.0.0.1:5000',
    repository: '127.0.0.1:5000/team/app',
    tag: 'v1',
    digest: undefined,
    text: '127.0.0.1:5000/team/app:v1',
  });
});

test('invalid references', () => {
  const cases = [
    '',
    ' ',
    'an image',
    'busybox ',
    'Busybox',
    'docker.io/library/Busybox',
    'busybox:',
    'busybox:-tag',
    `busybox:${'t'.repeat(129)}`,
    'busybox@',
    'busybox@sha256:1234',
    `busybox@sha256:${'A'.repeat(64)}`,
    `busybox@md5:${HEX}`,
    `busybox@${DIGEST}@${DIGEST}`,
    HEX,
    DIGEST,
    '/app',
    'app/',
    'a//b',
    '-host.io/app',
    'host.io:port/app',
    'http://host.io/app',
    'a___b',
    'a/../b',
    'busybox\n',
    `host.io/${'p'.repeat(256)}`,
    'x'.repeat(100_000),
  ];
  assert.deepEqual(
    cases.filter((text) => tryParseReference(text) !== undefined),
    [],
  );
});

test('the error names the field, the text and the problem', () => {
  const problem = (text: string): string => {
    try {
      return parseReference(text, 'image.image').text;
    } catch (thrown) {
      return (thrown as Error).message;
    }
  };
  assert.deepEqual(['Busybox', 'a b', ''].map(problem), [
    'image.image: "Busybox" is not an image reference: a repository is written in lowercase',
    'image.image: "a b" is not an image reference: "library/a b" is not a valid repository',
    'image.image: "" is not an image reference: it is empty',
  ]);
  assert.ok(problem('x'.repeat(100_000)).length < 400);
});
