import { readFileSync } from 'node:fs';

/** crid's version, as package.json has it: beside `build/` wherever crid is installed. */
export const VERSION: string = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
).version;
