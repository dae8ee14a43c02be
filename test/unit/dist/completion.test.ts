import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { program } from '../../../src/command-line.js';
import { bashCompletion } from '../../../tools/dist/completion/bash.js';
import { commandNodes } from '../../../tools/dist/completion/commands.js';
import { fishCompletion } from '../../../tools/dist/completion/fish.js';
import { zshCompletion } from '../../../tools/dist/completion/zsh.js';
import { which } from '../../../tools/stack/exec.js';

/** Returns what a shell offers for a command line whose last word is under the cursor. */
type Offer = (...words: readonly string[]) => string[];

const NODES = commandNodes(program);
const COMMANDS = program.commands.map((command) => command.name());
const OPTIONS = ['--version', '--help'];
const LIMIT_MS = 60_000;

const offeredByBash: Offer = (...words) => {
  const script = `eval "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _crid; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return output('bash', ['--norc', '-c', script, 'bash', bashCompletion(NODES), 'crid', ...words]);
};

const offeredByFish: Offer = (...words) => {
  const script = 'echo $argv[1] | source; complete -C $argv[2]';
  const args = ['--no-config', '-c', script, fishCompletion(NODES), ['crid', ...words].join(' ')];
  return output('fish', args).map((line) => line.split('\t')[0] ?? '');
};

/**
 * Presses Tab in an interactive zsh on a terminal of its own, whose `compadd` records the words that it is given and
 * that match. The key after Tab writes the file that says that all are recorded.
 */
const ZSH = `zmodload zsh/zpty
zpty -b shell zsh -f -i
zpty -w shell "cd $1; fpath=($1 \\$fpath); autoload -U compinit; compinit -u -D; PS1=''; LISTMAX=0"
zpty -w shell 'compadd() {
  local -a found; local argument
  for argument in "$@"; do case $argument in (--) break;; (-[OADU]) builtin compadd "$@"; return;; esac; done
  builtin compadd -O found "$@"; print -rl -- $found >>offered; builtin compadd "$@"
}
finish() { print >finished }
zle -N finish; bindkey "^X" finish; bindkey "^I" complete-word; print >ready'
wait_for() { while [[ ! -e $1 ]]; do zpty -r -t shell output; sleep 0.05; done }
wait_for $1/ready
zpty -n -w shell "$2"$'\\t\\x18'
wait_for $1/finished
cat $1/offered 2>/dev/null
zpty -d shell`;

const offeredByZsh: Offer = (...words) => {
  const folder = mkdtempSync(join(tmpdir(), 'crid-zsh-'));
  try {
    writeFileSync(join(folder, '_crid'), zshCompletion(NODES));
    return output('zsh', ['-f', '-c', ZSH, 'zsh', folder, ['crid', ...words].join(' ')]);
  } finally {
    rmSync(folder, { recursive: true });
  }
};

test('bash completes commands, their options, and files', () => {
  assert.deepEqual(offers(offeredByBash), {
    ...{
      crid: [...COMMANDS, ...OPTIONS].sort(),
      config: ['--help', 'check', 'diff', 'show'],
      htm: ['--help', '--html'],
    },
    ...{ file: ['/etc/hostname'], value: [], after: ['--json'] },
  });
});

test('zsh does the same', { skip: which('zsh') === undefined && 'zsh is not installed' }, () => {
  // zsh shows options when a word begins with a hyphen, and the last part of a path.
  assert.deepEqual(offers(offeredByZsh), {
    ...{ crid: COMMANDS.toSorted(), config: ['check', 'diff', 'show'], htm: ['--help', '--html'] },
    ...{ file: ['hostname'], value: [], after: ['--json'] },
  });
});

test('fish does the same', { skip: which('fish') === undefined && 'fish is not installed' }, () => {
  assert.deepEqual(offers(offeredByFish), {
    ...{ crid: COMMANDS.toSorted(), config: ['check', 'diff', 'show'], htm: ['--help', '--html'] },
    ...{ file: ['/etc/hostname'], value: [], after: ['--json'] },
  });
});

// This test needs no shell, so it also runs where zsh and fish are not installed.
test('the completions of all shells have every command and every option', () => {
  for (const { children, options } of NODES) {
    for (const { name } of children) {
      assert.match(zshCompletion(NODES), new RegExp(`^ +'${name}:`, 'm'));
      assert.match(fishCompletion(NODES), new RegExp(` -a ${name} `));
    }
    for (const { name } of options) {
      assert.match(zshCompletion(NODES), new RegExp(`^ +'${name}:`, 'm'));
      assert.match(fishCompletion(NODES), new RegExp(` -l ${name.slice(2)} `));
    }
  }
});

const offers = (offer: Offer): Record<string, string[]> => ({
  crid: offer('').sort(),
  config: offer('config', '').sort(),
  htm: offer('trace', '--h').sort(),
  file: offer('serve', '--config', '/etc/hostn'),
  value: offer('trace', '--last', ''),
  after: offer('trace', '--last', '5', '--js'),
});

const output = (shell: string, args: readonly string[]): string[] =>
  execFileSync(shell, args, { encoding: 'utf8', timeout: LIMIT_MS }).split('\n').filter(Boolean);
