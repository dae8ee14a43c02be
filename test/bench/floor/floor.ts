import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createLogger } from '../../../src/base/log.js';
import { createContainerd } from '../../../src/containerd/client.js';
import { onDispose } from '../../../tools/stack/disposers.js';
import { run } from '../../../tools/stack/exec.js';
import type { Part } from '../bench.js';
import { cniFloor } from './cni.js';
import { createFloorTimer } from './floor-timer.js';
import { defaultSpec, runcFloor } from './runc.js';
import { taskFloor } from './tasks.js';

const NAMESPACE = 'bench-floor';

/** Times the programs and calls that every CRI server needs, without one: what a pod costs at least. */
export const floor: Part = {
  name: 'floor',
  operations: ['floor'],
  async run({ servers: { stack, folder: servers }, images, rounds, signal, findings }) {
    const folder = join(servers, 'floor');
    const rootfs = join(folder, 'rootfs');
    await mkdir(rootfs, { recursive: true });
    const ctr = (...args: string[]): Promise<string> => stack.containerd.ctr('--namespace', NAMESPACE, ...args);
    await ctr('images', 'pull', '--hosts-dir', stack.containerd.certsDir, images.warm);
    await ctr('images', 'mount', images.warm, rootfs);
    const unmount = onDispose(`rootfs ${rootfs}`, async () => {
      await run('umount', [rootfs]);
      await ctr('images', 'unmount', '--rm', rootfs);
      await ctr('images', 'remove', '--sync', images.warm);
    });
    const containerd = createContainerd({
      address: stack.containerd.socket,
      namespace: NAMESPACE,
      log: createLogger('error'),
    });
    const spec = await defaultSpec(stack, folder);
    const timer = createFloorTimer(signal);
    await cniFloor(timer, stack, rounds);
    await runcFloor(timer, stack, { folder, rootfs, spec }, rounds);
    await taskFloor(timer, containerd, stack, spec, rounds);
    findings.floor.push(...timer.rows());
    containerd.close();
    await unmount();
  },
};
