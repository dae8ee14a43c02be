import type { Any } from '../../../src/containerd/containerd.js';
import { parseSpec } from '../../../src/spec/spec-json.js';

/** The behaviour of the process of an in-memory task. SIGKILL ends every process. */
export interface Program {
  /** The exit code of a process that ends as soon as it has started; undefined for one that runs on. */
  readonly endsWith: number | undefined;
  /** The exit code after SIGTERM; undefined for a process that ignores it, as the first of a pid namespace does. */
  readonly onSigterm: number | undefined;
}

/**
 * Reads the last argument of the process as a shell script of one of two forms: `exit N`, and `trap "exit N" TERM; …`,
 * which runs until SIGTERM. Any other process runs until SIGKILL.
 */
export function programOf(spec: Any | undefined): Program {
  const script = (spec && parseSpec(spec).process?.args?.at(-1)) ?? '';
  return {
    endsWith: numberIn(/^exit (\d+)$/.exec(script)),
    onSigterm: numberIn(/^trap "exit (\d+)" TERM;/.exec(script)),
  };
}

const numberIn = (match: RegExpExecArray | null): number | undefined => (match ? Number(match[1]) : undefined);
