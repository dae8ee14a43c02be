import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Linter, type ESLint } from 'eslint';
import { projectRoot } from '../../../tools/stack/project.js';

// ESLint loads this file as it is, so it is not compiled.
const { commentRules } = (await import(pathToFileURL(join(projectRoot, 'tools/lint/comments.js')).href)) as {
  readonly commentRules: ESLint.Plugin;
};

/** Returns `line rule` for each complaint. */
function complaints(source: string): string[] {
  const rules = { 'comments/plain-words': 'error', 'comments/line-length': 'error' } as const;
  const messages = new Linter().verify(source, { plugins: { comments: commentRules }, rules });
  return messages.map(({ line, ruleId, message }) => `${line} ${ruleId ?? message}`);
}

test('a comment that begins with a subject is accepted', () => {
  const source = [
    '/** Returns the pod. */',
    'let a; // the second of two',
    '/**',
    ' * The pods of the node, one for each id.',
    ' *',
    ' * - Each has a name, so that it can be found.',
    ' */',
    'let b;',
    '// A line that',
    '// one sentence fills, with room for more.',
  ];
  assert.deepEqual(complaints(source.join('\n')), []);
});

test('a paragraph of a comment must not begin with a word that does not name its subject', () => {
  for (const word of ['Of', 'One', 'What', 'Who', 'Whoever', 'So', 'Else', 'Nobody', 'Answers', 'one']) {
    const sources = [
      `/** ${word} that waits. */`,
      `/**\n * ${word} that waits.\n */`,
      `/*\n  ${word} that waits.\n*/`,
      `/**\n * The queue.\n *\n * ${word} that waits.\n */`,
      `/**\n * Rules:\n * - ${word} that waits.\n */`,
      `// ${word} that waits.`,
      `let a; // ${word} that waits.`,
    ];
    assert.deepEqual(
      sources.map((source) => complaints(source)),
      [1, 2, 2, 4, 3, 1, 1].map((line) => [`${line} comments/plain-words`]),
    );
  }
});

test('a comment must not use words that the project does not use', () => {
  for (const word of ['whoever', 'house', 'rooms'])
    assert.deepEqual(complaints(`// The ${word} of crid.`), ['1 comments/plain-words']);
});

test('a comment line has at most 120 columns, except one with an address', () => {
  const of = (columns: number): string => `// ${'x'.repeat(columns - 3)}`;
  assert.deepEqual(complaints(of(120)), []);
  assert.deepEqual(complaints(of(121)), ['1 comments/line-length']);
  assert.deepEqual(complaints(`/**\n${of(121)}\n */`), ['2 comments/line-length']);
  assert.deepEqual(complaints(`// https://${'x'.repeat(121)}`), []);
});
