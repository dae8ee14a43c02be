import type { OptionRow } from './option-table.js';
import { plainText, wrapped } from './text.js';

const HEAD = `# The configuration of crid: crid.toml(5).
#
# crid needs none. It reads the options in containerd's config.toml; an option that is set here overrides them. Each
# option below is commented out and shows its default. For the tables with NAME, remove the # of the table's line too,
# and put the name in its place. \`crid config show\` prints each value that is in force, and where it comes from.
`;
/** The width of a comment, without the "# " before it. */
const COLUMNS = 110;

/** Returns the packages' example of a config.toml: every option, commented out, with its default and its meaning. */
export function configFile(rows: readonly OptionRow[]): string {
  const tables = new Map<string, string[]>([['', []]]);
  for (const { key, value, meaning, isReloadable } of rows) {
    const dot = key.lastIndexOf('.');
    const table = key.slice(0, Math.max(0, dot));
    const lines = [
      ...wrapped(plainText(isReloadable ? meaning : `${meaning} (needs a restart)`), COLUMNS).map(
        (line) => `# ${line}`,
      ),
      `#${key.slice(dot + 1)} = ${value}`,
    ];
    tables.set(table, [...(tables.get(table) ?? []), ...lines]);
  }
  const parts = [...tables].map(([table, lines]) => [...(table === '' ? [] : [header(table)]), ...lines].join('\n'));
  return `${[HEAD, ...parts].join('\n')}\n`.replaceAll(/\n\[/g, '\n\n[').replaceAll(/\n#\[/g, '\n\n#[');
}

const header = (table: string): string => `${table.includes('NAME') ? '#' : ''}[${table}]`;
