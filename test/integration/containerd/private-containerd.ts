import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface PrivateContainerd {
  readonly address: string;
  start(): void;
  /** Stops containerd and waits for its end. */
  stop(signal: NodeJS.Signals): Promise<void>;
  remove(): Promise<void>;
}

/** Creates a containerd without CRI in a temporary folder. CRID_TEST_CONTAINERD_BINARY names the program. */
export async function createPrivateContainerd(): Promise<PrivateContainerd> {
  const folder = await mkdtemp(join(tmpdir(), 'crid-containerd-'));
  const address = join(folder, 'containerd.sock');
  const config = join(folder, 'config.toml');
  await writeFile(
    config,
    `version = 3
root = ${JSON.stringify(join(folder, 'root'))}
state = ${JSON.stringify(join(folder, 'state'))}
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.nri.v1.nri"]
[grpc]
address = ${JSON.stringify(address)}
`,
  );
  let running: ChildProcess | undefined;
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    const child = running;
    running = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  };
  return {
    address,
    start: () => {
      const program = process.env['CRID_TEST_CONTAINERD_BINARY'] ?? 'containerd';
      running = spawn(program, ['-c', config, '-l', 'error'], { stdio: 'ignore' });
      running.on('error', (error) => {
        throw new Error(`set CRID_TEST_CONTAINERD_BINARY to a containerd 2.x: ${error.message}`);
      });
    },
    stop,
    remove: async () => {
      await stop('SIGKILL');
      if (existsSync(folder)) await rm(folder, { recursive: true });
    },
  };
}
