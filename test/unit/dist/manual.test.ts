import assert from 'node:assert/strict';
import { test } from 'node:test';
import { program } from '../../../src/command-line.js';
import { leaves } from '../../../tools/dist/man-pages.js';
import { cridPage } from '../../../tools/dist/man-pages.js';
import { roff } from '../../../tools/dist/roff.js';

test('every kind of block of the documents has its form in a manual page', () => {
  const page = roff(`## Where a value comes from

A \`key\` of **containerd**, see [limits](limits.md).
.hidden

- one
  \`--flag\`
1. two

\`\`\`toml
a = "b-c" # \\
\`\`\`

| key | default | meaning |
| --- | --- | --- |
| \`a.b\` | \`1\` | a \\| b |

| old | read as | since |
| --- | --- | --- |
| \`x\` | y | 2.4 |
| | z | |
`);
  assert.deepEqual(page.split('\n'), [
    '.SH WHERE A VALUE COMES FROM',
    '.PP',
    'A \\fBkey\\fP of \\fBcontainerd\\fP, see limits.',
    '\\&.hidden',
    '.IP \\(bu 2',
    'one',
    '\\fB\\-\\-flag\\fP',
    '.IP 1. 4',
    'two',
    '.PP',
    '.in +4n',
    '.nf',
    'a = "b\\-c" # \\e',
    '.fi',
    '.in',
    '.TP',
    '\\fBa.b\\fP = \\fB1\\fP',
    'a | b',
    '.TP',
    '\\fBx\\fP',
    'read as: y',
    '.br',
    'since: 2.4',
    '.TP',
    '\\fBx\\fP',
    'read as: z',
  ]);
});

test('a code block without an end is an error', () => {
  assert.throws(() => roff('text\n\n```sh\ncrid\n'), /^Error: line 3: the code block has no end$/);
});

test('crid(8) has every command and option of the command line', () => {
  const documents = { readme: '# crid\n\nA server.\n\n```\n', systemd: '## Sockets and files\n\nnone\n' };
  const page = cridPage(program, documents, { version: '1.2.3', epoch: 86_400 });
  assert.match(page, /^\.TH crid 8 1970-01-02 "crid 1\.2\.3"\n/);
  const expected = leaves(program).flatMap(({ path, command }) => [
    `\\fBcrid ${path.join(' ')}\\fP`,
    ...command.options.map(({ long }) => `\\fB${long?.replaceAll('-', '\\-')}\\fP`),
  ]);
  assert.ok(expected.length > 20);
  assert.deepEqual(
    expected.filter((text) => !page.includes(text)),
    [],
  );
});
