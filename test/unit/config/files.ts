import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';

/** A folder with these files in it, gone after the test. */
export async function folderOf(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'crid-config-'));
  t.after(() => rm(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  return folder;
}

/** What `work` is refused with: the code and the lines of the message, the folder left out of them. */
export async function refusal(folder: string, work: Promise<unknown>): Promise<unknown> {
  const thrown = await work.then(
    () => undefined,
    (reason: unknown) => reason as { code: string; message: string },
  );
  return thrown && { code: thrown.code, lines: thrown.message.replaceAll(`${folder}/`, '').split('\n') };
}
