import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { DescriptorProto, FileDescriptorSet } from '@bufbuild/protobuf/wkt';
import { projectRoot } from '../../../tools/stack/project.js';
import { ownDescriptors } from './upstream.js';

const PACKAGE = 'runtime.v1';

test('docs/fields.md has the effect of every field of a CRI request', async () => {
  const page = await readFile(join(projectRoot, 'docs', 'fields.md'), 'utf8');
  const decided = [...page.matchAll(/^\| `(\w+\.\w+)` \| (.+) \|$/gm)].map(([, field]) => field);
  const fields = requestFields(await ownDescriptors());
  assert.ok(fields.length > 200);
  assert.deepEqual(
    {
      undecided: fields.filter((field) => !decided.includes(field)),
      gone: decided.filter((field) => field === undefined || !fields.includes(field)),
      twice: decided.filter((field, index) => decided.indexOf(field) !== index),
    },
    { undecided: [], gone: [], twice: [] },
  );
});

/** Returns `Message.field` for all messages that a request of the CRI can contain. */
function requestFields(set: FileDescriptorSet): string[] {
  const files = set.file.filter((file) => file.package === PACKAGE);
  const messages = new Map(files.flatMap((file) => file.messageType).map((each) => [`.${PACKAGE}.${each.name}`, each]));
  const seen = new Set<DescriptorProto>();
  const visit = (name: string): string[] => {
    const message = messages.get(name);
    if (!message || seen.has(message)) return [];
    seen.add(message);
    return message.field.flatMap((field) => [`${message.name}.${field.name}`, ...visit(field.typeName)]);
  };
  return files.flatMap((file) =>
    file.service.flatMap(({ method }) => method.flatMap(({ inputType }) => visit(inputType))),
  );
}
