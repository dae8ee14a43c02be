import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Architecture } from '../stack/architectures.js';
import { logTail, startDaemon, type Daemon } from '../stack/daemon.js';
import { onDispose } from '../stack/disposers.js';
import { run, which } from '../stack/exec.js';
import { freePort } from '../stack/ports.js';
import type { Step } from '../stack/steps.js';
import { until } from '../stack/wait.js';
import { EMULATORS } from './emulator.js';
import { prepareVm, virtiofsd } from './image.js';
import { vmLayout, type VmLayout } from './layout.js';
import { readMachine, sweepMachines, writeMachine, type MachineFile } from './owner.js';
import { quote, runInGuest, sshMaster, sshOptions, type GuestAnswer, type GuestRun, type SshTarget } from './ssh.js';

/** A running node: Debian with systemd, cgroup v2 and AppArmor, in QEMU. */
export interface Machine {
  /** The host's folder of this run, with console and sockets. `attachMachine` takes it. */
  readonly dir: string;
  readonly architecture: Architecture;
  /** Returns the stdout of a shell script. Throws an error with the end of its output if the exit code is not 0. */
  run(script: string, options?: Partial<GuestRun>): Promise<string>;
  /** Returns the result for any exit code. */
  answer(script: string, options: GuestRun): Promise<GuestAnswer>;
  /** Ends the machine. Changes on its disk are lost. */
  dispose(): Promise<void>;
}

/** The guest's kernel panicked; its message is the report on the console. */
export class GuestPanicError extends Error {
  override readonly name = 'GuestPanicError';
}

export interface MachineOptions {
  readonly architecture: Architecture;
  readonly step: Step;
  /** Folders of the host that the guest mounts writable at the same paths. */
  readonly shares: readonly string[];
  readonly memoryMiB?: number;
  readonly cpus?: number;
}

/** After the boot, udev only inspects each veth and mount of each pod, which costs a tenth of the guest's CPU time. */
const STOP_UDEV = `systemctl stop 'systemd-udevd-*.socket' systemd-udevd.service`;
const BOOT_LIMIT_MS = 300_000;
const SOCKET_LIMIT_MS = 10_000;
const STOP_LIMIT_MS = 15_000;
const RUN_LIMIT_MS = 120_000;
/** The size of QEMU's cache of translated code. QEMU drops all of it when it is full, and accepts at most 2 GiB. */
const TRANSLATED_MIB = 2047;
const SHOWN_CHARS = 3000;
/** The first words of a report of the guest's kernel that it cannot go on. */
const PANIC = /(Oops|Kernel panic)[^]*/;
/** ssh's own exit code for a failed connection. Scripts must not use it. */
const SSH_FAILED = 255;

export async function startMachine(options: MachineOptions): Promise<Machine> {
  const { architecture, step, shares } = options;
  const layout = vmLayout(architecture);
  if (process.getuid?.() !== 0)
    throw new Error('the node in a VM needs root: its image is made of device nodes and mounts');
  await prepareVm(layout, step);
  await sweepMachines();
  const dir = await mkdtemp(join(tmpdir(), 'crid-vm-'));
  const daemons: Daemon[] = [];
  const dispose = onDispose(`the node in ${dir}`, async () => {
    for (const daemon of daemons.reverse()) await daemon.stop('SIGTERM', STOP_LIMIT_MS);
    await rm(dir, { recursive: true });
  });
  try {
    const target = { dir, port: await freePort(), key: layout.key, architecture };
    await writeMachine({ ...target, shares });
    for (const [index, share] of shares.entries()) daemons.push(await startShare(dir, index, share));
    await step('boot', async () => {
      const qemu = await startDaemon(
        'nice',
        ['-n', '5', EMULATORS[architecture].program, ...qemuArguments(layout, target, options)],
        {
          logFile: consoleOf(dir),
          // The folder of the unlinked file that receives the disk's changes.
          env: { ...process.env, TMPDIR: dir },
        },
      );
      daemons.push(qemu);
      daemons.push(await connect(target, qemu));
    });
    const machine = machineAt(target, dispose);
    await machine.run([...shares.map(mountCommand), STOP_UDEV].join('\n'));
    return machine;
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** Attaches to a machine that another process has started and will end. */
export async function attachMachine(dir: string): Promise<Machine> {
  return machineAt(await readMachine(dir), async () => undefined);
}

/** Returns the command line for an interactive shell. */
export const sshCommand = ({ dir, port, key }: MachineFile): string =>
  ['ssh', '-t', ...sshOptions({ dir, port, key }), 'root@127.0.0.1'].join(' ');

function machineAt(target: Omit<MachineFile, 'shares'>, dispose: () => Promise<void>): Machine {
  const answer = async (script: string, options: GuestRun): Promise<GuestAnswer> => {
    const given = await runInGuest(target, script, options);
    if (given.code !== SSH_FAILED) return given;
    throw await lossOf(target.dir, 'the node or the way to it is gone');
  };
  return {
    dir: target.dir,
    architecture: target.architecture,
    answer,
    async run(script, options = {}) {
      const { code, stdout, stderr } = await answer(script, { timeoutMs: RUN_LIMIT_MS, ...options });
      if (code === 0) return stdout;
      throw new Error(
        `in the guest: ${script.slice(0, 200)}: exit code ${code}: ${(stdout + stderr).slice(-SHOWN_CHARS)}`,
      );
    },
    dispose,
  };
}

/** Returns the report of a panic of the guest's kernel, or `what` with the end of the console. */
async function lossOf(dir: string, what: string, cause?: unknown): Promise<Error> {
  const panic = PANIC.exec(await readFile(consoleOf(dir), 'utf8'));
  if (panic) return new GuestPanicError(`the guest's kernel panicked: ${panic[0].slice(0, SHOWN_CHARS)}`);
  return new Error(`${what}; its console ends with: ${logTail(consoleOf(dir))}`, { cause });
}

const consoleOf = (dir: string): string => join(dir, 'console.log');
const shareSocket = (dir: string, index: number): string => join(dir, `share${index}.sock`);
const mountCommand = (share: string, index: number): string =>
  `mkdir -p ${quote(share)} && mount -t virtiofs share${index} ${quote(share)}`;

async function startShare(dir: string, index: number, share: string): Promise<Daemon> {
  const socket = shareSocket(dir, index);
  const logFile = join(dir, `share${index}.log`);
  const args = [`--socket-path=${socket}`, '-o', `source=${share}`, '-o', 'cache=auto', '-o', 'sandbox=chroot'];
  const daemon = await startDaemon(virtiofsd() ?? 'virtiofsd', args, { logFile });
  await until(`virtiofsd shares ${share}`, SOCKET_LIMIT_MS, () => {
    if (daemon.hasEnded()) throw new Error(`virtiofsd: ${logTail(logFile)}`);
    return existsSync(socket) || undefined;
  });
  return daemon;
}

function qemuArguments(layout: VmLayout, { dir, port }: SshTarget, options: MachineOptions): string[] {
  const { architecture, memoryMiB = 4096, cpus = 2, shares } = options;
  const { machine, cpu, console } = EMULATORS[architecture];
  // Without address randomization a program is loaded at the same address each time, so QEMU translates its code once,
  // not again for each process. After a panic QEMU ends, because it must not reboot, and ssh fails at once.
  const kernel = `panic=-1 norandmaps root=/dev/vda rw console=${console} quiet net.ifnames=0 mitigations=off init_on_alloc=0 apparmor=1 security=apparmor`;
  return [
    ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none', '-serial', 'stdio'],
    // Always use software emulation, so that every host behaves alike. Shares need memory that virtiofsd can map.
    ...[
      '-machine',
      `${machine},memory-backend=memory`,
      '-accel',
      `tcg,thread=multi,tb-size=${TRANSLATED_MIB}`,
      '-cpu',
      cpu,
    ],
    ...['-smp', String(cpus), '-m', String(memoryMiB)],
    ...['-object', `memory-backend-memfd,id=memory,size=${memoryMiB}M,share=on`],
    ...['-kernel', layout.kernel, '-initrd', layout.initrd, '-append', kernel],
    ...['-drive', `file=${layout.image},format=raw,if=virtio,snapshot=on,cache=unsafe`],
    ...['-device', 'virtio-rng-pci', '-device', 'virtio-net-pci,netdev=net,romfile='],
    ...['-netdev', `user,id=net,ipv6=off,hostfwd=tcp:127.0.0.1:${port}-:22`],
    ...shares.flatMap((_, index) => [
      ...['-chardev', `socket,id=share${index},path=${shareSocket(dir, index)}`],
      ...['-device', `vhost-user-fs-pci,chardev=share${index},tag=share${index}`],
    ]),
  ];
}

/** Opens the connection that all commands share: a handshake per command takes a second. */
async function connect(target: SshTarget, qemu: Daemon): Promise<Daemon> {
  const logFile = join(target.dir, 'ssh.log');
  let master: Daemon | undefined;
  const look = async (): Promise<'up' | 'ended'> => {
    if (qemu.hasEnded()) return 'ended';
    if (!master || master.hasEnded()) master = await startDaemon('ssh', sshMaster(target), { logFile });
    await run(which('ssh') ?? 'ssh', [...sshOptions(target), '-O', 'check', 'root@127.0.0.1']);
    return 'up';
  };
  try {
    const state = await until('the node answers', BOOT_LIMIT_MS, look, 500);
    if (state === 'ended') throw new Error('QEMU has ended');
  } catch (cause) {
    await master?.stop('SIGKILL', STOP_LIMIT_MS);
    throw await lossOf(target.dir, 'the node does not boot', cause);
  }
  if (!master) throw new Error('no connection to the node');
  return master;
}
