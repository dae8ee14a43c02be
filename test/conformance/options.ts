import { parseArgs } from 'node:util';

/** crid, or the CRI plugin of the same containerd. */
export type ServerName = 'crid' | 'reference';

export interface Options {
  /** Tested one after the other, each on its own stack. */
  readonly servers: readonly ServerName[];
  /** Regular expressions over whole spec names. */
  readonly focus: readonly string[];
  readonly skip: readonly string[];
  readonly handler: string;
}

export const USAGE = `usage: main.js crid|reference... [--focus REGEXP]... [--skip REGEXP]... [--handler NAME]`;

export function parseOptions(args: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      focus: { type: 'string', multiple: true, default: [] },
      skip: { type: 'string', multiple: true, default: [] },
      handler: { type: 'string', default: '' },
    },
  });
  const servers = positionals.filter((name) => name === 'crid' || name === 'reference');
  const isSet = servers.length === positionals.length && new Set(servers).size === servers.length;
  if (!isSet || servers.length === 0) throw new Error(USAGE);
  return { servers, focus: values.focus, skip: values.skip, handler: values.handler };
}
