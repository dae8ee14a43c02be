import { readdir, readFile, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Data of a task that runc keeps outside containerd's folders; `runc delete` would remove it. */
interface Traces {
  readonly namespace: string;
  readonly id: string;
  readonly cgroupsPath: string;
  readonly shimSocket: string;
}

const BUNDLES = 'io.containerd.runtime.v2.task';
/** The `--root` that the shim passes to runc. */
const RUNC_ROOT = '/run/containerd/runc';

/** Removes the cgroups, runc's state and the shim's socket of tasks whose shims were killed. */
export async function removeTaskTraces(state: string): Promise<void> {
  const hierarchies = await cgroupMounts();
  for (const { namespace, id, cgroupsPath, shimSocket } of await tracesBelow(join(state, BUNDLES))) {
    // A path of the systemd driver has colons and no slash. systemd removes an empty scope itself.
    if (cgroupsPath.startsWith('/') && cgroupsPath.endsWith(id)) {
      for (const mount of hierarchies) await removeCgroup(join(mount, cgroupsPath));
    }
    await rm(join(RUNC_ROOT, namespace, id), { recursive: true, force: true });
    if (shimSocket !== '') await rm(shimSocket, { force: true });
  }
}

async function tracesBelow(bundles: string): Promise<Traces[]> {
  const found: Traces[] = [];
  for (const namespace of await names(bundles)) {
    for (const id of await names(join(bundles, namespace))) {
      const text = (file: string): Promise<string> =>
        readFile(join(bundles, namespace, id, file), 'utf8').catch(() => '');
      const cgroupsPath = /"cgroupsPath":"([^"]+)"/.exec(await text('config.json'))?.[1] ?? '';
      const shimSocket = /"address":"unix:\/\/([^"]+)"/.exec(await text('bootstrap.json'))?.[1] ?? '';
      found.push({ namespace, id, cgroupsPath, shimSocket });
    }
  }
  return found;
}

async function cgroupMounts(): Promise<string[]> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  return lines.filter((line) => / - cgroup2? /.test(line)).map((line) => line.split(' ')[4] ?? '');
}

/** Removes child cgroups first. The files in a cgroup's directory disappear with it. */
async function removeCgroup(path: string): Promise<void> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => undefined);
  if (!entries) return;
  for (const entry of entries) if (entry.isDirectory()) await removeCgroup(join(path, entry.name));
  await rmdir(path).catch(() => undefined);
}

const names = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);
