import { readFile, rename, writeFile } from 'node:fs/promises';

const BEGIN = '<!-- results: written by `make bench`, do not edit -->';
const END = '<!-- end of results -->';

/** Puts `text` between the markers of a document; an error when it has none. */
export async function rewriteResults(path: string, text: string): Promise<void> {
  const document = await readFile(path, 'utf8');
  const begin = document.indexOf(BEGIN);
  const end = document.indexOf(END, begin);
  if (begin < 0 || end < 0) throw new Error(`${path} has no lines "${BEGIN}" and "${END}"`);
  const rewritten = `${document.slice(0, begin + BEGIN.length)}\n\n${text}\n\n${document.slice(end)}`;
  await writeFile(`${path}.new`, rewritten);
  await rename(`${path}.new`, path);
}
