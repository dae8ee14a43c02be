import { CriError } from '../base/errors.js';
import { CRI_PLUGINS } from '../config/containerd-layout.js';
import { ok, warning, type Finding } from '../doctor/finding.js';
import { disableCri, enableCri } from './disabled-plugins.js';
import { kubeletFiles } from './kubelet-files.js';
import { isUnitFile } from './kubelet-unit.js';
import {
  newFile,
  type ContainerdConfig,
  type CriState,
  type Direction,
  type FileChange,
  type MoveNode,
  type NodeFile,
  type Sockets,
} from './move-node.js';
import { isAsWritten, stillAsWritten, type MoveRecord, type Records } from './move-record.js';
import { askUnit, containerdConfigArgument, type Unit } from './units.js';
import { SERVER_LIMIT_MS, until, type Clock } from './wait.js';

export type StepName =
  | 'stop the kubelet'
  | 'stop crid'
  | 'configure containerd'
  | 'start crid'
  | 'configure the kubelet'
  | 'start the kubelet';

/** A part of the move with the changes that it still needs: none after they have been made. */
export interface PlannedStep {
  readonly name: StepName;
  readonly files: readonly FileChange[];
  readonly commands: readonly (readonly string[])[];
}

export interface MovePlan {
  readonly direction: Direction;
  readonly findings: readonly Finding[];
  /** Reasons why the move cannot begin. */
  readonly obstacles: readonly string[];
  /** Steps that only an administrator can do. */
  readonly notes: readonly string[];
  readonly steps: readonly PlannedStep[];
  /** The state before the move; of an interrupted move, the state before that one began. */
  readonly record: MoveRecord;
  /** Whether an earlier run of this move has not ended. */
  readonly isInterrupted: boolean;
}

export interface MoveSetup {
  readonly node: MoveNode;
  readonly records: Records;
  readonly sockets: Sockets;
  readonly clock: Clock;
  /** The path of containerd's config.toml. */
  readonly containerdConfig: string;
}

interface Facts {
  readonly units: Readonly<Record<'kubelet' | 'crid' | 'containerd', Unit>>;
  readonly pluginOn: boolean;
  readonly config: ContainerdConfig | undefined;
  readonly earlier: Readonly<Record<Direction, MoveRecord | undefined>>;
}

/** Looks at the node and plans the move. Changes nothing. */
export async function planMove(setup: MoveSetup, direction: Direction): Promise<MovePlan> {
  const { node, records, sockets } = setup;
  const units = {
    kubelet: await askUnit(node, 'kubelet'),
    crid: await askUnit(node, 'crid'),
    containerd: await askUnit(node, 'containerd'),
  };
  const plugin = await askPlugin(setup, units.containerd);
  const facts: Facts = {
    units,
    pluginOn: plugin === 'on',
    config: await node.containerdConfig(setup.containerdConfig),
    earlier: { 'to-crid': await records.load('to-crid'), back: await records.load('back') },
  };
  const ofContainerd = await containerdChanges(setup, direction, facts);
  const ofKubelet = await kubeletFiles(node, { direction, sockets, isUnit: units.kubelet.isLoaded });
  const [first, second] = await Promise.all(
    [ofContainerd.changes, ofKubelet.changes].map((changes) => withOriginals(setup, direction, facts, changes)),
  );
  const record = await recordOf(node, direction, facts);
  const isInterrupted = facts.earlier[direction]?.done === false;
  const steps = stepsOf(
    direction,
    facts,
    { record, isInterrupted },
    { containerd: first ?? [], kubelet: second ?? [] },
  );
  const version = await askVersion(node);
  const pinned = direction === 'back' ? await pinnedPods(node) : [];
  return {
    direction,
    record,
    isInterrupted,
    findings: findingsOf(setup, facts, ofKubelet.found, version.text),
    obstacles: [
      ...version.obstacles,
      ...(plugin === 'unknown'
        ? [`${sockets.containerd}: containerd does not say whether its CRI plugin is on: repeat when it does`]
        : []),
      ...unitObstacles(setup, direction, facts),
      ...ofContainerd.obstacles,
      ...ofKubelet.obstacles,
      ...pinned,
    ],
    notes: await notesOf(node, direction, sockets),
    steps,
  };
}

/** Returns the direction that the node can still go: an interrupted move goes on. */
export async function nextDirection({ node, records, sockets }: MoveSetup): Promise<Direction> {
  for (const direction of ['to-crid', 'back'] as const) {
    if ((await records.load(direction))?.done === false) return direction;
  }
  return (await node.criAt(sockets.crid)) === 'on' && (await node.criAt(sockets.containerd)) === 'off'
    ? 'back'
    : 'to-crid';
}

/** Asks until containerd's plugin is known to be on or off; once only if containerd does not run. */
async function askPlugin({ node, sockets, clock }: MoveSetup, { isActive }: Unit): Promise<CriState> {
  let state: CriState = 'unknown';
  const isKnown = async (): Promise<boolean> => (state = await node.criAt(sockets.containerd)) !== 'unknown';
  await until({ clock, limitMs: isActive ? SERVER_LIMIT_MS : 0 }, '', isKnown).catch(() => undefined);
  return state;
}

async function containerdChanges(
  { node, containerdConfig: path }: MoveSetup,
  direction: Direction,
  { config }: Facts,
): Promise<{ changes: FileChange[]; obstacles: string[] }> {
  const changes: FileChange[] = [];
  const obstacles: string[] = [];
  const edit = async (file: string, change: (text: string | undefined) => string): Promise<void> => {
    let before: NodeFile | undefined;
    try {
      before = await node.read(file);
    } catch (thrown) {
      obstacles.push(CriError.from(thrown).message);
      return;
    }
    try {
      const text = change(before?.text);
      if (text !== before?.text)
        changes.push({ path: file, before, after: before ? { ...before, text } : newFile(text) });
    } catch (thrown) {
      obstacles.push(`${file}: ${CriError.from(thrown).message}`);
    }
  };
  if (direction === 'to-crid') {
    if (config?.criPluginRequired)
      obstacles.push(`${path}: required_plugins names the CRI plugin, so containerd would not start without it`);
    if (!config?.criPluginDisabled) await edit(path, disableCri);
    return { changes, obstacles };
  }
  for (const { path: file, tree } of config?.files ?? []) {
    const disabled = tree['disabled_plugins'];
    const names: readonly unknown[] = Array.isArray(disabled) ? disabled : [];
    if (CRI_PLUGINS.some((plugin) => names.includes(plugin))) await edit(file, (text) => enableCri(text ?? ''));
  }
  return { changes, obstacles };
}

/** Where a move back changes a file that is still as the move to crid wrote it, the file gets its old text. */
async function withOriginals(
  { records }: MoveSetup,
  direction: Direction,
  { earlier }: Facts,
  changes: readonly FileChange[],
): Promise<FileChange[]> {
  const record = earlier['to-crid'];
  if (direction !== 'back' || !record) return [...changes];
  return Promise.all(
    changes.map(async (change) =>
      isAsWritten(record, change.path, change.before)
        ? { ...change, after: await records.original('to-crid', record, change.path) }
        : change,
    ),
  );
}

async function recordOf(
  node: MoveNode,
  direction: Direction,
  { units, pluginOn, earlier }: Facts,
): Promise<MoveRecord> {
  const own = earlier[direction];
  if (own?.done === false) return { ...own, kubeletActive: own.kubeletActive || units.kubelet.isActive };
  const other = earlier[direction === 'back' ? 'to-crid' : 'back'];
  return {
    version: 1,
    done: false,
    // An interrupted move in the other direction has stopped it.
    kubeletActive: units.kubelet.isActive || (other?.done === false && other.kubeletActive),
    ...(units.kubelet.isActive && !units.kubelet.isSteady && { kubeletFails: true }),
    cridActive: units.crid.isActive,
    cridEnabled: units.crid.isEnabled,
    pluginOn,
    files: {},
    earlier: own && (await stillAsWritten(node, own)),
  };
}

function stepsOf(
  direction: Direction,
  { units, pluginOn }: Facts,
  { record: { kubeletActive }, isInterrupted }: Pick<MovePlan, 'record' | 'isInterrupted'>,
  files: { readonly containerd: readonly FileChange[]; readonly kubelet: readonly FileChange[] },
): PlannedStep[] {
  const when = (needed: boolean, ...command: string[]): string[][] => (needed ? [command] : []);
  const { kubelet, crid } = units;
  const reload = files.kubelet.some(({ path }) => isUnitFile(path)) || (isInterrupted && kubelet.needsReload);
  const restart = files.containerd.length > 0 || pluginOn !== (direction === 'back');
  const start = when(!crid.isActive || !crid.isEnabled, 'systemctl', 'enable', '--now', 'crid');
  const stop = [
    ...when(!crid.isStopped || crid.isEnabled, 'systemctl', 'disable', '--now', 'crid'),
    // Only a unit without processes can be cleaned; a running crid may still store pipes.
    ...when(!crid.isStopped || crid.storesPipes, 'systemctl', 'clean', '--what=fdstore', 'crid'),
  ];
  const containerd: PlannedStep = {
    name: 'configure containerd',
    files: files.containerd,
    commands: when(restart, 'systemctl', 'restart', 'containerd'),
  };
  const middle: PlannedStep[] = [
    ...(direction === 'back' ? [{ name: 'stop crid', files: [], commands: stop } as const] : []),
    containerd,
    ...(direction === 'to-crid' ? [{ name: 'start crid', files: [], commands: start } as const] : []),
    { name: 'configure the kubelet', files: files.kubelet, commands: when(reload, 'systemctl', 'daemon-reload') },
  ];
  const isNeeded = middle.some((step) => step.files.length + step.commands.length > 0);
  return [
    {
      name: 'stop the kubelet',
      files: [],
      commands: when(isNeeded && !kubelet.isStopped, 'systemctl', 'stop', 'kubelet'),
    },
    ...middle,
    {
      name: 'start the kubelet',
      files: [],
      commands: when(kubeletActive && (isNeeded || !kubelet.isActive), 'systemctl', 'start', 'kubelet'),
    },
  ];
}

function findingsOf(
  { containerdConfig }: MoveSetup,
  { units, pluginOn, config }: Facts,
  found: readonly string[],
  version: string,
): Finding[] {
  const { kubelet, crid } = units;
  const files = config?.files.map(({ path }) => path).join(', ') ?? `${containerdConfig} does not exist`;
  return [
    ok('containerd', `${version}, its CRI plugin is ${pluginOn ? 'on' : 'off'}`),
    ok(
      'containerd',
      `configuration: ${files}; the CRI plugin is ${config?.criPluginDisabled ? '' : 'not '}in disabled_plugins`,
    ),
    kubelet.isLoaded
      ? ok('kubelet', kubelet.isActive ? 'kubelet.service runs' : 'kubelet.service does not run')
      : warning('kubelet', 'systemd has no kubelet.service: stop and start the kubelet by hand'),
    ...found.map((place) => ok('kubelet', place)),
    ok('crid', `crid.service ${crid.isActive ? 'runs' : 'does not run'} and is ${crid.isEnabled ? '' : 'not '}enabled`),
  ];
}

function unitObstacles({ containerdConfig }: MoveSetup, direction: Direction, { units }: Facts): string[] {
  const { crid, containerd } = units;
  const other = containerdConfigArgument(containerd);
  return [
    ...(containerd.isLoaded ? [] : ['systemd has no containerd.service']),
    ...(direction === 'to-crid' && !crid.isLoaded ? ['systemd has no crid.service: install crid first'] : []),
    ...(other === undefined || other === containerdConfig
      ? []
      : [
          `containerd.service reads ${other} instead of ${containerdConfig}: name it with --containerd-config, also for crid`,
        ]),
  ];
}

async function askVersion(node: MoveNode): Promise<{ text: string; obstacles: string[] }> {
  try {
    const { version, problem } = await node.containerdVersion();
    return { text: version, obstacles: problem === undefined ? [] : [problem] };
  } catch (thrown) {
    return { text: 'does not respond', obstacles: [`containerd does not respond: ${CriError.from(thrown).message}`] };
  }
}

/** A list that fails is an obstacle too, because the kubelet would restart pods that are not known here. */
async function pinnedPods(node: MoveNode): Promise<string[]> {
  const remedy = 'set sandboxer = "pause", restart crid, then replace the pod';
  try {
    return (await node.pinnedPods()).map(
      (id) => `pod ${id} has no pause container, so containerd's CRI plugin cannot take it: ${remedy}`,
    );
  } catch (thrown) {
    return [`pods without a pause container cannot be listed: ${CriError.from(thrown).message}`];
  }
}

/** kubeadm before v1.36 stores the socket in an annotation of the node too. */
async function notesOf(node: MoveNode, direction: Direction, { crid, containerd }: Sockets): Promise<string[]> {
  if (!(await node.read('/var/lib/kubelet/kubeadm-flags.env'))) return [];
  const socket = `unix://${direction === 'back' ? containerd : crid}`;
  return [
    'kubeadm before v1.36 also reads an annotation of the node. Where kubectl may change it:',
    `kubectl annotate node NAME --overwrite kubeadm.alpha.kubernetes.io/cri-socket=${socket}`,
  ];
}
