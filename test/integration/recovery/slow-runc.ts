import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from '../../../tools/stack/wait.js';
import type { TestStack } from '../../harness/test-stack.js';

export const MODES = ['before', 'after'] as const;
/**
 * `before` and `after`: whether the init process is there. `before` hangs in a child of the process that the shim waits
 * for, which outlives the shim; the other two in that process. `instead` makes no container.
 */
export type Mode = (typeof MODES)[number] | 'instead';

/** A runc that hangs in `create` when told to, before or after the real create. */
export interface SlowRunc {
  readonly program: string;
  /** Makes the next creates hang. */
  hang(mode: Mode): Promise<void>;
  /** Lets the next creates pass again. Those that hang go on hanging for their time. */
  pass(): Promise<void>;
  /** Waits until a create hangs. */
  reached(): Promise<void>;
  /** Waits until the create that hung last has ended. */
  ended(): Promise<void>;
}

/** Longer than containerd waits before it gives a create up whose caller is gone. */
const DELAY_S = 12;
const LIMIT_MS = 30_000;

/** Makes the program in the folder of the stack. */
export async function createSlowRunc(stack: TestStack): Promise<SlowRunc> {
  const dir = await mkdtemp(join(stack.dir, 'slow-runc-'));
  const [program, modeFile, pidFile] = [join(dir, 'runc'), join(dir, 'mode'), join(dir, 'pid')];
  await writeFile(program, script(stack.runcPath, dir), { mode: 0o755 });
  const pid = async (): Promise<number> => Number(await readFile(pidFile, 'utf8').catch(() => ''));
  return {
    program,
    async hang(mode) {
      await rm(pidFile, { force: true });
      await writeFile(modeFile, mode);
    },
    pass: () => rm(modeFile, { force: true }),
    async reached() {
      await until('the runtime hangs', LIMIT_MS, async () => ((await pid()) > 0 ? true : undefined));
    },
    async ended() {
      const hanging = await pid();
      // A zombie has no command line.
      const commandLine = (): Promise<string> => readFile(`/proc/${hanging}/cmdline`, 'utf8').catch(() => '');
      await until('the runtime has ended', LIMIT_MS, async () => ((await commandLine()) === '' ? true : undefined));
    },
  };
}

const script = (runc: string, dir: string): string => `#!/bin/sh
mode=$(cat ${dir}/mode 2>/dev/null)
case "$mode $*" in
  before*' create '*) echo $$ >${dir}/pid; sleep ${DELAY_S} ;;
  after*' create '*) ${runc} "$@"; echo $$ >${dir}/pid; exec sleep ${DELAY_S} ;;
  instead*' create '*) echo $$ >${dir}/pid; exec sleep ${DELAY_S} ;;
esac
exec ${runc} "$@"
`;
