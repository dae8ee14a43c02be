import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { run, which } from '../stack/exec.js';
import { projectRoot } from '../stack/project.js';
import type { Machine } from './machine.js';
import { quote } from './ssh.js';

/** Shared with the guest at the same path, because test logs are written there too. */
export const SHARED = join(projectRoot, '.work');
/** The folder of the files for the guest, and of the reports from it. */
export const EXCHANGE = join(SHARED, 'vm');

const PARTS = ['bin', 'build', 'docs', 'protos', 'test', 'tools', 'package.json', 'buf.gen.yaml'];
const COPY_LIMIT_MS = 300_000;

/** Copies this checkout, with its build, to the guest's disk at the same path. */
export async function copyCheckout(machine: Machine): Promise<void> {
  const options = { cwd: projectRoot, timeoutMs: COPY_LIMIT_MS };
  const paths = (await run('npm', ['ls', '--omit=dev', '--all', '--parseable'], options)).split('\n');
  const packages = paths.filter((path) => path !== '' && path !== projectRoot && existsSync(path));
  await unpackInGuest(machine, 'checkout', projectRoot, [
    ...PARTS,
    ...packages.map((path) => relative(projectRoot, path)),
  ]);
}

/**
 * Unpacks files from a folder of the host into the same folder of the guest, or into `target`. Uses one archive,
 * because each file on a share costs the guest some milliseconds.
 */
export async function unpackInGuest(
  machine: Machine,
  name: string,
  folder: string,
  paths: readonly string[],
  target = folder,
): Promise<void> {
  const archive = join(EXCHANGE, `${name}.tar`);
  await mkdir(EXCHANGE, { recursive: true });
  const exclude = ['--exclude=build/conformance', '--exclude=*.tsbuildinfo'];
  await run(which('tar') ?? 'tar', ['-C', folder, ...exclude, '-cf', archive, ...paths], { timeoutMs: COPY_LIMIT_MS });
  const at = quote(target);
  await machine.run(`mkdir -p ${at} && cd ${at} && rm -rf ${paths.map(quote).join(' ')} && tar -xf ${quote(archive)}`, {
    timeoutMs: COPY_LIMIT_MS,
  });
}
