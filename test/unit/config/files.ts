import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';

/** Creates a folder with these files. It is removed after the test. */
export async function folderOf(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'crid-config-'));
  t.after(() => rm(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  return folder;
}

/** Returns the error of `work`: its code and the lines of its message, without the folder's path. */
export async function refusal(folder: string, work: Promise<unknown>): Promise<unknown> {
  const thrown = await work.then(
    () => undefined,
    (reason: unknown) => reason as { code: string; message: string },
  );
  return thrown && { code: thrown.code, lines: thrown.message.replaceAll(`${folder}/`, '').split('\n') };
}
