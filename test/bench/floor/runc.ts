import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onDispose } from '../../../tools/stack/disposers.js';
import type { Stack } from '../../../tools/stack/stack.js';
import { CGROUP_PARENT } from '../requests.js';
import type { FloorTimer } from './floor-timer.js';
import { output, quiet } from './program.js';

const SLEEP = ['sleep', '3600'];

export interface Spec {
  readonly process: object;
  readonly linux: object;
}

/** Returns runc's default spec. */
export async function defaultSpec(stack: Stack, folder: string): Promise<Spec> {
  await output(stack.runcPath, ['spec', '--bundle', folder]);
  return JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as Spec;
}

/** The spec with these arguments, without a terminal, and in the benchmark's cgroup. */
export const specOf = ({ process, linux, ...rest }: Spec, args: readonly string[], id: string): Spec => ({
  ...rest,
  process: { ...process, args, terminal: false },
  linux: { ...linux, cgroupsPath: `${CGROUP_PARENT}/${id}` },
});

/** Runs runc as a shim does, on a rootfs that is mounted. */
export async function runcFloor(
  timer: FloorTimer,
  stack: Stack,
  { folder, rootfs, spec }: { readonly folder: string; readonly rootfs: string; readonly spec: Spec },
  rounds: number,
): Promise<void> {
  const bundleOf = async (name: string, args: readonly string[]): Promise<string> => {
    const bundle = join(folder, name);
    await mkdir(bundle, { recursive: true });
    const config = { ...specOf(spec, args, `floor-runc-${name}`), root: { path: rootfs, readonly: true } };
    await writeFile(join(bundle, 'config.json'), JSON.stringify(config));
    return bundle;
  };
  const [idle, short] = [await bundleOf('idle', SLEEP), await bundleOf('short', ['true'])];
  const runc = (...args: string[]): Promise<void> => quiet(stack.runcPath, ['--root', join(folder, 'runc'), ...args]);
  const id = `floor-${process.pid}`;
  const remove = (): Promise<void> => runc('delete', '--force', id);
  const removeAtEnd = onDispose(`runc container ${id}`, remove);
  await timer.rounds(rounds, async () => {
    await timer.time('runc create', () => runc('create', '--bundle', idle, id));
    await timer.time('runc start', () => runc('start', id));
    await timer.time('runc exec of `true`', () => runc('exec', id, 'true'));
    await timer.time('runc delete --force', remove);
    await timer.time('runc run of `true`', () => runc('run', '--bundle', short, id));
  });
  await removeAtEnd();
}
