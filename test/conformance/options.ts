import { parseArgs } from 'node:util';

export interface Options {
  /** crid, or the CRI plugin of the same containerd. */
  readonly server: 'crid' | 'reference';
  /** Regular expressions over whole spec names. */
  readonly focus: readonly string[];
  readonly skip: readonly string[];
  readonly handler: string;
}

export const USAGE = `usage: main.js crid|reference [--focus REGEXP]... [--skip REGEXP]... [--handler NAME]`;

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
  const [server, ...others] = positionals;
  if ((server !== 'crid' && server !== 'reference') || others.length > 0) throw new Error(USAGE);
  return { server, focus: values.focus, skip: values.skip, handler: values.handler };
}
