import { chmod, mkdir, mkdtemp, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CridOptions } from '../../harness/crid.js';
import type { TestStack } from '../../harness/test-stack.js';

export type Verb = 'ADD' | 'DEL';

/** A CNI plugin after the stack's own plugins, whose behaviour the test controls. */
export interface OddPlugin {
  readonly type: string;
  readonly options: CridOptions;
  /**
   * `ok` lets the verb succeed, `hang` blocks it until the next call. Any other text is printed before the plugin exits
   * with 1.
   */
  tell(verb: Verb, what: string): Promise<void>;
  /** Replaces the plugin's type in the network's configuration. */
  rename(type: string): Promise<void>;
}

/** Writes the plugin, and a copy of the stack's network that ends with it. */
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
    // Written atomically, because the plugin may be reading the file.
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

/** An ADD at the end of a chain that changes nothing must print the previous result (CNI spec, "Chained plugins"). */
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
