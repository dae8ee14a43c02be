/** An option of crid.toml, as the tables of docs/configuration.md describe it. */
export interface OptionRow {
  /** The path of the option; `NAME` is a name that the user chooses. */
  readonly key: string;
  /** The default, in TOML. */
  readonly value: string;
  /** Whether a reload takes it; it needs a restart otherwise. */
  readonly isReloadable: boolean;
  /** In Markdown. */
  readonly meaning: string;
}

/** Returns the row of every option in docs/configuration.md, in the document's order. */
export function optionRows(document: string): OptionRow[] {
  const rows = document
    .slice(document.indexOf('## Every option'))
    .matchAll(/^\| `([^`]+)` *\| `([^`]+)` *\| (yes|restart) *\| (\S.*) \|$/gm);
  return [...rows].map(([, key = '', value = '', reload, meaning = '']) => ({
    ...{ key, value, meaning },
    isReloadable: reload === 'yes',
  }));
}
