import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from '../../../tools/stack/wait.js';
import { podConfig } from '../../harness/pod.js';
import type { CriClient } from '../../harness/cri-client.js';
import type { TestStack } from '../../harness/test-stack.js';

/** Longer than containerd waits before it gives up a create whose caller is gone. */
const DELAY_S = 12;
const LIMIT_MS = 60_000;
export const SLOW_HANDLER = 'slow';

/** TOML for containerd's config.toml: a runtime handler with the OCI runtime `program`. */
export const slowHandlerToml = (program: string): string => `
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.${SLOW_HANDLER}]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.${SLOW_HANDLER}.options]
BinaryName = ${JSON.stringify(program)}
`;

/** Writes an OCI runtime whose `create` is slow while the file `mode` in the folder says so. Returns its path. */
export async function writeSlowRuntime(runc: string, folder: string): Promise<string> {
  await mkdir(reachedIn(folder), { recursive: true });
  const program = join(folder, 'runc');
  const script = `#!/bin/sh
case "$(cat ${modeIn(folder)} 2>/dev/null) $*" in
  slow*' create '*) touch ${reachedIn(folder)}/$$; sleep ${DELAY_S} ;;
esac
exec ${runc} "$@"
`;
  await writeFile(program, script, { mode: 0o755 });
  return program;
}

/** Requests `count` pods at once, and kills the server when the runtime has begun to create each of them. */
export async function killWhileCreating(
  { runtime }: CriClient,
  stack: TestStack,
  folder: string,
  count: number,
  kill: () => Promise<void>,
): Promise<void> {
  await rm(reachedIn(folder), { recursive: true, force: true });
  await mkdir(reachedIn(folder));
  await writeFile(modeIn(folder), 'slow');
  const calls = Array.from({ length: count }, async () => {
    const config = await podConfig(stack);
    await runtime.runPodSandbox({ config, runtime_handler: SLOW_HANDLER });
  });
  const outcomes = Promise.allSettled(calls);
  await until(`${count} creates are under way`, LIMIT_MS, async () =>
    (await readdir(reachedIn(folder))).length >= count ? true : undefined,
  );
  await rm(modeIn(folder));
  await kill();
  await outcomes;
}

const modeIn = (folder: string): string => join(folder, 'mode');
const reachedIn = (folder: string): string => join(folder, 'reached');
