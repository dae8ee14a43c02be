/**
 * ESLint rules for comments. They hold the part of CONTRIBUTING.md, "Rules for language", that a program can check:
 * `plain-words` for the words, `line-length` for the width.
 */

/** A paragraph that begins with one of these words does not name its subject. */
const FIRST_WORDS = /^(Of|One|What|Who|Whoever|So|Else|Nobody)\b/i;
/** A function returns, and a server responds. */
const ANSWERS = /^Answers\b/i;
/** Programs are "it", and parts of the source are modules. */
const ANYWHERE = /\b(whoever|houses?|rooms)\b/i;
const MAX_COLUMNS = 120;

/** Shapes: `{ text, line }`, where `line` is the paragraph's first line in the file. */
export function paragraphs(comments) {
  return blocks(comments).flatMap((lines) => {
    const found = [];
    let current;
    for (const { text, line } of lines) {
      const item = /^- /.test(text);
      if (text === '' || item) current = undefined;
      if (text === '') continue;
      if (current) current.text += ` ${text}`;
      else found.push((current = { text: text.replace(/^- /, ''), line }));
    }
    return found;
  });
}

/** Returns the lines of each block comment, and of each run of line comments below one another. */
function blocks(comments) {
  const found = [];
  let previous;
  for (const comment of comments) {
    const { start } = comment.loc;
    const lines = comment.value
      .split('\n')
      .map((text, index) => ({ text: text.replace(/^\s*\*+/, '').trim(), line: start.line + index }));
    const continues =
      comment.type === 'Line' &&
      previous?.type === 'Line' &&
      previous.loc.start.line === start.line - 1 &&
      previous.loc.start.column === start.column;
    if (continues) found.at(-1).push(...lines);
    else found.push(lines);
    previous = comment;
  }
  return found;
}

function complaint(text) {
  const first = FIRST_WORDS.exec(text) ?? ANSWERS.exec(text);
  if (first) return { messageId: 'first', data: { word: first[0] } };
  const word = ANYWHERE.exec(text);
  return word ? { messageId: 'word', data: { word: word[0] } } : undefined;
}

const plainWords = {
  meta: {
    type: 'suggestion',
    schema: [],
    messages: {
      first: 'a comment does not begin with "{{word}}": begin with the subject (CONTRIBUTING.md, "Rules for language")',
      word: 'a comment does not use "{{word}}" (CONTRIBUTING.md, "Rules for language")',
    },
  },
  create: (context) => ({
    Program() {
      for (const { text, line } of paragraphs(context.sourceCode.getAllComments())) {
        const found = complaint(text);
        if (found) context.report({ loc: { line, column: 0 }, ...found });
      }
    },
  }),
};

const lineLength = {
  meta: { type: 'layout', schema: [], messages: { long: `a comment line has at most ${MAX_COLUMNS} columns` } },
  create: (context) => ({
    Program() {
      const inComment = new Set(
        context.sourceCode.getAllComments().flatMap(({ loc: { start, end } }) => range(start.line, end.line)),
      );
      for (const line of inComment) {
        const text = context.sourceCode.lines[line - 1];
        // An address cannot be broken.
        if ([...text].length > MAX_COLUMNS && !text.includes('://'))
          context.report({ loc: { line, column: MAX_COLUMNS }, messageId: 'long' });
      }
    },
  }),
};

const range = (first, last) => Array.from({ length: last - first + 1 }, (_, index) => first + index);

export const commentRules = { rules: { 'plain-words': plainWords, 'line-length': lineLength } };
