import { readFile, rename, writeFile } from 'node:fs/promises';

const END = '<!-- end of results -->';

/** Replaces the text between the document's markers for this command. Throws if the document has none. */
export async function rewriteResults(path: string, text: string, command = 'make bench'): Promise<void> {
  const marker = `<!-- results: written by \`${command}\`, do not edit -->`;
  const document = await readFile(path, 'utf8');
  const begin = document.indexOf(marker);
  const end = document.indexOf(END, begin);
  if (begin < 0 || end < 0) throw new Error(`${path} has no lines "${marker}" and "${END}"`);
  const rewritten = `${document.slice(0, begin + marker.length)}\n\n${text}\n\n${document.slice(end)}`;
  await writeFile(`${path}.new`, rewritten);
  await rename(`${path}.new`, path);
}
