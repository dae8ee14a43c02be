import { cp, mkdir, readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { projectRoot } from '../../tools/stack/project.js';
import type { TestStack } from '../harness/test-stack.js';

/**
 * Copies the logs of a stack's containerd and of every crid and kubelet on it to `.work/test-logs/FILE`. Returns that
 * folder.
 */
export async function keepLogs(stack: TestStack, file: string): Promise<string> {
  const folder = join(projectRoot, '.work', 'test-logs', basename(file, '.test.js'));
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await cp(stack.containerd.log, join(folder, 'containerd.log'));
  for (const name of await readdir(stack.dir)) {
    if (name.startsWith('crid-')) {
      await cp(join(stack.dir, name, 'crid.log'), join(folder, `${name}.log`)).catch(() => undefined);
    }
    if (/^kubelet-.*\.log$/.test(name)) await cp(join(stack.dir, name), join(folder, name));
  }
  return folder;
}
