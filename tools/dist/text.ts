/** Returns a phrase of Markdown without its marks: the text of a link, code without backticks. */
export const plainText = (markdown: string): string =>
  markdown.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll(/`|\*\*/g, '');

/** Splits a text at its spaces into lines of at most `columns`. */
export function wrapped(text: string, columns: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > columns) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

/** Returns the text below a heading of level 2, up to the next one. */
export function section(document: string, heading: string): string {
  const [, body] = new RegExp(`^## ${heading}\n([^]*?)(?=^## |$(?![^]))`, 'm').exec(document) ?? [];
  if (body === undefined) throw new Error(`no section "${heading}"`);
  return body.trim();
}
