import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { pino } from 'pino';
import { migrate } from '../../../src/migrate/migrate.js';
import type { Direction, MoveNode, Sockets } from '../../../src/migrate/move-node.js';
import { createRecords, MOVE_FOLDER } from '../../../src/migrate/move-record.js';
import { filesBelow } from '../../../src/migrate/node-files.js';
import type { Clock } from '../../../src/migrate/wait.js';

export const SOCKETS: Sockets = { crid: '/run/crid/crid.sock', containerd: '/run/containerd/containerd.sock' };
export const CONFIG = '/etc/containerd/config.toml';

export type Files = Readonly<Record<string, string>>;
interface MadeUnit {
  loaded: boolean;
  active: boolean;
  enabled: boolean;
  reload: boolean;
}

/** A node of files in a temporary folder, with a systemd and CRI servers in memory. */
export interface MadeNode {
  /** Runs `crid migrate`; returns its output, and the message of its error. */
  migrate(
    direction: Direction | undefined,
    yes?: boolean,
    signal?: AbortSignal,
  ): Promise<{ output: string; error: string | undefined }>;
  /** The text of each file but the records of moves. */
  files(): Files;
  modes(): Readonly<Record<string, number>>;
  write(path: string, text: string | Uint8Array): void;
  readonly units: Readonly<Record<'kubelet' | 'crid' | 'containerd', MadeUnit>>;
  /** The state that a move must bring about: which servers and units run. */
  state(): object;
  /** The changes so far: `write PATH`, `remove PATH`, and commands but `systemctl show`. */
  readonly changes: string[];
  /** Returns a failure for a change. */
  fail: (change: string) => string | undefined;
  /** Lets only so many changes happen from now on, as a kill does, and after it the last one. */
  kill: { at: number; made: boolean } | undefined;
  pinned: string[];
  /** Containers that the server at a socket does not list. */
  unlisted: (socket: string) => boolean;
  /** How long the plugin initialises after a restart of containerd. */
  pluginStartMs: number;
  restartContainerd(): void;
  /** The containers that run, on whichever server. */
  running: string[];
  /** The state that systemd shows for a unit until a command starts or stops it, such as `deactivating`. */
  readonly activeStates: Map<string, string>;
  /** Whether a kubelet that was started ends, and is started again after a second. */
  kubeletEnds: () => boolean;
  /** Called before a change is made. */
  before: (change: string) => Promise<void> | void;
  undoLimitMs: number | undefined;
  /** Whether both CRI servers have run at the same time. */
  bothRan: boolean;
  execStart: string;
  /** The properties FragmentPath, DropInPaths and EnvironmentFiles of the kubelet, as systemd shows them. */
  unitFiles: string;
}

/** The folder of the nodes of this process. */
const nodes = mkdtempSync(join(tmpdir(), 'crid-migrate-'));
process.once('exit', () => rmSync(nodes, { recursive: true }));

export function makeNode(files: Files): MadeNode {
  const root = mkdtempSync(join(nodes, 'node-'));
  const below = filesBelow(root);
  const units = {
    kubelet: { loaded: true, active: true, enabled: true, reload: false },
    crid: { loaded: true, active: false, enabled: false, reload: false },
    containerd: { loaded: true, active: true, enabled: true, reload: false },
  };
  let pluginOn = true;
  let nowMs = 0;
  let pluginReadyMs = 0;
  let endsFromMs: number | undefined;
  let pipes = 0;
  let dead = false;
  const made: MadeNode = {
    units,
    changes: [],
    fail: () => undefined,
    kill: undefined,
    pinned: [],
    unlisted: () => false,
    pluginStartMs: 0,
    running: ['c1'],
    activeStates: new Map(),
    kubeletEnds: () => false,
    before: () => undefined,
    undoLimitMs: undefined,
    bothRan: false,
    restartContainerd: () => void (pluginReadyMs = nowMs + made.pluginStartMs),
    execStart: '/usr/bin/containerd',
    unitFiles: '',
    files: () => textsBelow(root),
    modes: () => Object.fromEntries(pathsBelow(root).map((path) => [path, statSync(root + path).mode & 0o7777])),
    write(path, text) {
      mkdirSync(dirname(root + path), { recursive: true });
      writeFileSync(root + path, text);
      chmodSync(root + path, 0o640);
    },
    state: () => ({ pluginOn, pipes, kubelet: { ...units.kubelet }, crid: { ...units.crid } }),
    async migrate(direction, yes = false, signal = undefined) {
      const lines: string[] = [];
      dead = false;
      const say = (line: string): void => void lines.push(line);
      const run = { node, records: createRecords(node), sockets: SOCKETS, containerdConfig: CONFIG, say };
      try {
        await migrate(
          { ...run, log: pino({ level: 'silent' }), clock, signal, undoLimitMs: made.undoLimitMs },
          { direction, yes },
        );
        return { output: lines.join('\n'), error: undefined };
      } catch (thrown) {
        return { output: lines.join('\n'), error: (thrown as Error).message };
      }
    },
  };

  /** Makes a change, unless it fails or the process is killed; a killed process makes no further change. */
  async function change(name: string, make: () => Promise<void> | void): Promise<void> {
    if (dead) return;
    await made.before(name);
    const failure = made.fail(name);
    if (failure !== undefined) throw new Error(failure);
    if (made.kill && --made.kill.at < 0) {
      dead = true;
      if (made.kill.made) await make();
      if (made.kill.made && name.includes('kubelet.service.d')) units.kubelet.reload = true;
      made.kill = undefined;
      throw new Error('killed');
    }
    await make();
    if (name.includes('kubelet.service.d')) units.kubelet.reload = true;
    if (!name.includes(MOVE_FOLDER)) made.changes.push(name);
  }

  async function systemctl([verb, ...args]: readonly string[]): Promise<void> {
    const unit = units[args.at(-1) as keyof typeof units];
    if (verb === 'enable' || verb === 'disable') unit.enabled = verb === 'enable';
    if (verb === 'start' || args.includes('--now')) unit.active = verb === 'start' || verb === 'enable';
    if (verb === 'stop') unit.active = false;
    if (verb !== 'enable') made.activeStates.delete(args.at(-1) ?? '');
    if (verb === 'start' && unit === units.kubelet) endsFromMs = made.kubeletEnds() ? nowMs : undefined;
    if (verb === 'daemon-reload') units.kubelet.reload = false;
    if (verb === 'clean') pipes = 0;
    if (verb === 'restart') {
      pluginOn = !(await below.containerdConfig(CONFIG))?.criPluginDisabled;
      pluginReadyMs = nowMs + made.pluginStartMs;
    }
    if (units.crid.active) pipes = 2;
    watched();
  }

  const restarts = (): number => (endsFromMs === undefined ? 0 : Math.floor((nowMs - endsFromMs) / 1000));

  const clock: Clock = {
    nowMs: () => nowMs,
    sleep(ms, signal) {
      nowMs += ms;
      return signal?.aborted ? Promise.reject(signal.reason as Error) : setImmediate();
    },
  };
  /** Both servers must never run: each would handle the exits of the same containers. */
  const watched = (): void => void (made.bothRan ||= pluginOn && units.crid.active);

  const node: MoveNode = {
    ...below,
    write: (path, file) => change(`write ${path}`, () => below.write(path, file)),
    remove: (path) => change(`remove ${path}`, () => below.remove(path)),
    async run(program, args) {
      if (args[0] === 'show')
        return {
          code: 0,
          stdout: `${show(args[1] as keyof typeof units, made, pipes)}\nNRestarts=${restarts()}\n${made.unitFiles}`,
          stderr: '',
        };
      try {
        await change([program, ...args].join(' '), () => systemctl(args));
        return { code: 0, stdout: '', stderr: '' };
      } catch (thrown) {
        return { code: 1, stdout: '', stderr: (thrown as Error).message };
      }
    },
    containerdVersion: () => Promise.resolve({ version: 'v2.3.7', problem: undefined }),
    criAt: (socket) =>
      Promise.resolve(
        socket === SOCKETS.crid
          ? units.crid.active
            ? 'on'
            : 'unknown'
          : pluginOn
            ? nowMs >= pluginReadyMs
              ? 'on'
              : 'unknown'
            : 'off',
      ),
    containers: (socket) =>
      Promise.resolve(made.unlisted(socket) ? [] : made.running.map((id) => ({ id, running: true }))),
    pinnedPods: () => Promise.resolve(made.pinned),
  };
  for (const [path, text] of Object.entries(files)) made.write(path, text);
  // The node begins with the plugin on, unless its files say otherwise.
  const disabled = Object.values(files).some((text) => /^disabled_plugins.*cri"/m.test(text));
  pluginOn = !disabled;
  return made;
}

function show(name: keyof MadeNode['units'], { units, activeStates, execStart }: MadeNode, pipes: number): string {
  const unit = units[name];
  const state = unit.active ? 'active' : 'inactive';
  return [
    `LoadState=${unit.loaded ? 'loaded' : 'not-found'}`,
    `ActiveState=${activeStates.get(name) ?? state}`,
    `UnitFileState=${unit.enabled ? 'enabled' : 'disabled'}`,
    `NeedDaemonReload=${unit.reload ? 'yes' : 'no'}`,
    `NFileDescriptorStore=${pipes}`,
    `ExecStart={ path=/usr/bin/containerd ; argv[]=${execStart} ; ignore_errors=no }`,
  ].join('\n');
}

function pathsBelow(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => `/${relative(root, join(entry.parentPath ?? entry.path, entry.name))}`)
    .filter((path) => !path.startsWith(MOVE_FOLDER))
    .sort();
}

const textsBelow = (root: string): Files =>
  Object.fromEntries(pathsBelow(root).map((path) => [path, readFileSync(root + path, 'utf8')]));
