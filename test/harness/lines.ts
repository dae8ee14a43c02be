import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compile } from '../../tools/stack/image-base.js';

/** The arguments of the program `lines` (tools/stack/images/lines.c). */
export interface LinesOptions {
  /** 0 means as fast as possible. */
  readonly bytesPerSecond: number;
  /** 0 means for ever. */
  readonly count: number;
  readonly widthBytes: number;
  /** How many lines one write(2) contains; the default is 1. */
  readonly linesPerWrite?: number;
  /** The name of the file that receives the writer's times. A named writer waits for `go`. */
  readonly name?: string;
}

export interface Times {
  readonly bytes: number;
  readonly elapsedMs: number;
  /** The duration of the longest write(2). */
  readonly longestWriteMs: number;
}

/** The program in a folder of this test, for containers to mount. */
export interface Lines {
  /** The fields of a container's configuration that run the program. */
  container(options: LinesOptions): {
    command: string[];
    mounts: { host_path: string; container_path: string }[];
    envs: { key: string; value: Buffer }[];
  };
  /** Lets the waiting writers begin. */
  go(): Promise<void>;
  /** Returns the times that the writer of this name wrote at its end, or undefined while it runs. */
  timesOf(name: string): Promise<Times | undefined>;
}

/** Installs the program below `folder`, which the users of containers must be able to reach. */
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
 * Fails unless these logs, one after the other, contain the lines 1, 2, 3, … of `lines`, each exactly once and whole. A
 * partial line (P) and its continuation are one line. Returns the number of lines, and the longest write that a line
 * reports.
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
