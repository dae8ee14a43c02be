import { chmod, mkdir, mkdtemp, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CridOptions } from '../../harness/crid.js';
import type { TestStack } from '../../harness/test-stack.js';

export type Verb = 'ADD' | 'DEL';

/** A CNI plugin after the stack's own, which behaves as it is told. */
export interface OddPlugin {
  readonly type: string;
  readonly options: CridOptions;
  /** `ok`; `hang` until told otherwise; else what it prints before it exits with 1. */
  tell(verb: Verb, what: string): Promise<void>;
  /** Another type in its place in the network's configuration. */
  rename(type: string): Promise<void>;
}

/** Writes the plugin and a copy of the stack's network that ends with it. */
export async function createOddPlugin(stack: TestStack): Promise<OddPlugin> {
  const dir = await mkdtemp(join(stack.dir, 'odd-'));
  const [bin, confDir] = [join(dir, 'bin'), join(dir, 'net.d')];
  for (const folder of [bin, confDir]) await mkdir(folder);
  const type = 'odd-plugin';
  const conflist = await stackConflist(stack);
  const write = (name: string): Promise<void> =>
    writeFile(
      join(confDir, '10-odd.conflist'),
      JSON.stringify({ ...conflist, plugins: [...conflist.plugins, { type: name }] }),
    );
  const tell = async (verb: Verb, what: string): Promise<void> => {
    // It may be reading just now.
    await writeFile(join(dir, 'next'), what);
    await rename(join(dir, 'next'), join(dir, verb));
  };
  await writeFile(join(bin, type), script(dir));
  await chmod(join(bin, type), 0o755);
  await tell('ADD', 'ok');
  await tell('DEL', 'ok');
  await write(type);
  return {
    type,
    options: { config: { runtime: { cni: { bin_dirs: [bin, stack.cniBinDir], conf_dir: confDir } } } },
    tell,
    rename: write,
  };
}

async function stackConflist({ cniConfDir }: TestStack): Promise<{ plugins: unknown[] }> {
  const [name = ''] = await readdir(cniConfDir);
  return JSON.parse(await readFile(join(cniConfDir, name), 'utf8')) as { plugins: unknown[] };
}

/** As the last of a chain, an ADD that does nothing answers the previous result (CNI spec, "Chained plugins"). */
const script = (dir: string): string => `#!/bin/sh
case $CNI_COMMAND in
ADD | DEL) ;;
*) exit 0 ;;
esac
input=$(cat)
while told=$(cat '${dir}/'"$CNI_COMMAND"); [ "$told" = hang ]; do sleep 0.1; done
if [ "$told" != ok ]; then
  echo "$told"
  exit 1
fi
[ "$CNI_COMMAND" = DEL ] && exit 0
printf %s "$input" | '${process.execPath}' -p 'JSON.stringify(JSON.parse(require("fs").readFileSync(0, "utf8")).prevResult)'
`;
