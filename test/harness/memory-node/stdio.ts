import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { notFound } from '../../../src/base/errors.js';
import type { Logger } from '../../../src/base/log.js';
import { createStreamRegistry } from '../../../src/stdio/server/stream-registry.js';
import type { ContainerIo, FifoPaths, Stdio } from '../../../src/stdio/stdio.js';
import { notInMemory } from '../memory-containerd/unused.js';

/** Streams without FIFOs and threads: only the directory of the FIFOs is made and removed. */
export function memoryStdio(log: Logger): Stdio {
  const { add, ...registered } = createStreamRegistry(log);
  return {
    ...registered,
    async open({ containerId, fifoDir, stdin, terminal }) {
      await mkdir(fifoDir, { recursive: true });
      const path = (stream: string): string => join(fifoDir, `${containerId}-${stream}`);
      return add(
        ioOf(containerId, {
          stdin: stdin ? path('stdin') : '',
          stdout: path('stdout'),
          stderr: terminal ? '' : path('stderr'),
        }),
      );
    },
    async reattach({ containerId }, paths) {
      if (!existsSync(dirname(paths.stdout))) throw notFound('FIFO', paths.stdout);
      return add(ioOf(containerId, paths));
    },
    capture: notInMemory('capture of streams'),
    stalledLogs: () => 0,
    logCounts: () => ({ written: 0n, dropped: 0n, failing: 0n }),
    close: async () => undefined,
  };
}

const ioOf = (containerId: string, paths: FifoPaths): ContainerIo => ({
  containerId,
  paths,
  reopenLog: async () => undefined,
  attach: notInMemory('attach'),
  drained: async () => true,
  close: async () => undefined,
  remove: () => rm(dirname(paths.stdout), { recursive: true, force: true }),
});
