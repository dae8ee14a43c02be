import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compile } from '../../tools/stack/image-base.js';

/** What the program `lines` (tools/stack/images/lines.c) is told. */
export interface LinesOptions {
  /** 0: as fast as it can. */
  readonly bytesPerSecond: number;
  /** 0: for ever. */
  readonly count: number;
  readonly widthBytes: number;
  /** Lines that go out with one call; 1 unless given. */
  readonly linesPerWrite?: number;
  /** Names the file with its times; it then waits for `go`. */
  readonly name?: string;
}

export interface Times {
  readonly bytes: number;
  readonly elapsedMs: number;
  /** The longest that one write(2) took. */
  readonly longestWriteMs: number;
}

/** The program in a folder of the test's own, for containers to mount. */
export interface Lines {
  /** The parts of a container's configuration that run it. */
  container(options: LinesOptions): {
    command: string[];
    mounts: { host_path: string; container_path: string }[];
    envs: { key: string; value: Buffer }[];
  };
  /** Lets those begin that wait. */
  go(): Promise<void>;
  /** What the writer of this name has left when it ended; undefined: it has not. */
  timesOf(name: string): Promise<Times | undefined>;
}

/** Below `folder`, which must be reachable for the users of containers. */
export async function createLines(folder: string): Promise<Lines> {
  const dir = await mkdtemp(join(folder, 'lines-'));
  await chmod(dir, 0o777);
  await writeFile(join(dir, 'lines'), await compile('lines'), { mode: 0o755 });
  return {
    container({ bytesPerSecond, count, widthBytes, linesPerWrite = 1, name }) {
      const numbers = [bytesPerSecond, count, widthBytes, linesPerWrite].map(String);
      return {
        command: ['/lines/lines', ...numbers, ...(name === undefined ? [] : ['/lines'])],
        mounts: [{ host_path: dir, container_path: '/lines' }],
        envs: [{ key: 'NAME', value: Buffer.from(name ?? 'lines') }],
      };
    },
    go: () => writeFile(join(dir, 'go'), ''),
    async timesOf(name) {
      const text = await readFile(join(dir, name), 'utf8').catch(() => undefined);
      const [bytes, elapsedUs, longestUs] = text?.split(' ').map(Number) ?? [];
      if (bytes === undefined || elapsedUs === undefined || longestUs === undefined) return undefined;
      return { bytes, elapsedMs: elapsedUs / 1000, longestWriteMs: longestUs / 1000 };
    },
  };
}

const LINE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{0,8}[1-9])?(?:Z|[+-]\d\d:\d\d) stdout ([PF]) (.*)$/;

/**
 * Fails unless these logs, one after the other, hold the lines 1, 2, 3, … of `lines` with none left out, twice or torn. A
 * piece (P) and what follows it are one line. Answers how many there are, and the longest write that a line tells of.
 */
export async function assertNumbered(paths: readonly string[]): Promise<{ lines: number; longestWriteMs: number }> {
  let lines = 0;
  let longestUs = 0;
  let begun = '';
  for (const path of paths) {
    const text = await readFile(path, 'latin1');
    assert.ok(text === '' || text.endsWith('\n'), `${path} ends with a newline`);
    for (let at = 0; at < text.length;) {
      const end = text.indexOf('\n', at);
      const [, tag, content] = LINE.exec(text.slice(at, end)) ?? [];
      assert.ok(tag !== undefined && content !== undefined, `${path}: ${text.slice(at, Math.min(end, at + 200))}`);
      at = end + 1;
      begun += content;
      if (tag === 'P') continue;
      const [number, longest] = begun.split(' ', 2).map(Number);
      if (number !== lines + 1) assert.fail(`${path}: line ${lines + 1} is "${begun.slice(0, 60)}"`);
      begun = '';
      lines += 1;
      longestUs = longest ?? NaN;
    }
  }
  return { lines, longestWriteMs: longestUs / 1000 };
}
