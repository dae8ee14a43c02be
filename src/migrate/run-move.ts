import { CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { createOperations } from '../operation/operation.js';
import type { StepHook, Steps } from '../operation/steps.js';
import { isUnitFile } from './kubelet-unit.js';
import type { Direction, FileChange, MoveNode } from './move-node.js';
import type { MovePlan, MoveSetup, PlannedStep, StepName } from './move-plan.js';
import { isAsWritten, type MoveRecord } from './move-record.js';
import { askUnit } from './units.js';
import { SERVER_LIMIT_MS, until, type Wait } from './wait.js';

const MOVE_LIMIT_MS = 30 * 60_000;
/** Longer than the limits of a command and of the wait for its server. */
const STEP_LIMIT_MS = 10 * 60_000;
/** How long the kubelet must stay active. One that finds no CRI server ends within a second or two. */
const STAY_MS = 10_000;
const STAY_ASK_MS = 1_000;

export interface MoveRun extends MoveSetup {
  readonly log: Logger;
  readonly hook?: StepHook | undefined;
  /** Shows progress, a line at a time. */
  readonly say: (line: string) => void;
  /** Time limit of an attempt to undo a step; 10 min by default. */
  readonly undoLimitMs?: number | undefined;
  /** Fails the move with its reason, a CriError, which undoes the move. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Carries out the plan as one operation. When a step fails, the node gets back the state of `plan.record`; the error
 * names the step, and the steps that could not be undone.
 */
export async function runMove(run: MoveRun, plan: MovePlan): Promise<void> {
  const { records, say } = run;
  const state: State = { run, plan, record: plan.record, kept: new Set() };
  const other = plan.direction === 'back' ? 'to-crid' : 'back';
  let left: readonly string[] = [];
  if (run.signal?.aborted) throw CriError.from(run.signal.reason);
  try {
    await createOperations({ log: run.log, ...(run.hook && { hook: run.hook }) }).run({
      kind: 'migrate',
      subject: 'node',
      key: 'node',
      caller: {},
      limitMs: MOVE_LIMIT_MS,
      work: async (steps) => {
        run.signal?.addEventListener('abort', () => steps.abort(CriError.from(run.signal?.reason)));
        await records.save(plan.direction, state.record);
        const earlier = await records.load(other);
        if (earlier?.done === false) await records.save(other, { ...earlier, done: true });
        for (const step of plan.steps) await runStep(steps, state, step);
        await records.save(plan.direction, { ...state.record, done: true });
      },
      onFailed: (_, failedUndo) => {
        left = failedUndo;
      },
    });
  } catch (thrown) {
    const error = CriError.from(thrown);
    if (left.length > 0) {
      throw new CriError(error.code, `${error.message}; could not be undone: ${left.join(', ')}`, { cause: error });
    }
    say('undone: the node is as before');
    await records.save(plan.direction, { ...state.record, done: true });
    throw error;
  }
}

interface State {
  readonly run: MoveRun;
  readonly plan: MovePlan;
  /** As last saved. */
  record: MoveRecord;
  /** The files that this run has changed. */
  readonly kept: Set<string>;
}

async function runStep(steps: Steps, state: State, step: PlannedStep): Promise<void> {
  const { node, records, say } = state.run;
  let undoing: Promise<void> | undefined;
  await steps.step(
    step.name,
    async (signal) => {
      for (const change of step.files) {
        signal.throwIfAborted();
        state.record = await records.keep(state.plan.direction, state.record, change, state.kept.has(change.path));
        state.kept.add(change.path);
        await apply(node, change);
      }
      for (const command of step.commands) {
        signal.throwIfAborted();
        await systemctl(node, command);
      }
      await after(state, step, signal);
    },
    () => {
      // A retry joins an attempt that exceeds its limit, so that no command runs twice at a time.
      if (undoing) return undoing;
      say(`undo: ${step.name}`);
      undoing = undo(state, step).catch((thrown: unknown) => {
        undoing = undefined;
        throw thrown;
      });
      return undoing;
    },
    // The undo of a command must not begin before the command has ended.
    { timeoutMs: STEP_LIMIT_MS, windDownMs: STEP_LIMIT_MS, undoTimeoutMs: state.run.undoLimitMs ?? STEP_LIMIT_MS },
  );
  if (step.files.length + step.commands.length > 0) say(`done: ${step.name}`);
}

/** Makes the checks and notes of a step when its changes are made, also if an earlier run has made them. */
async function after(state: State, { name, commands }: PlannedStep, signal: AbortSignal): Promise<void> {
  const { run, plan } = state;
  const { node, sockets } = run;
  const isBack = plan.direction === 'back';
  const wait = { clock: run.clock, limitMs: SERVER_LIMIT_MS, signal };
  // A kubelet that ran since an interrupted move may have started and removed containers.
  if (name === 'stop the kubelet' && (state.record.running === undefined || commands.length > 0)) {
    const running = await runningContainers(run, wait);
    state.record = { ...state.record, running };
    await run.records.save(plan.direction, state.record);
  }
  if (name === 'configure containerd') {
    const problem = `containerd's CRI plugin is still ${isBack ? 'off' : 'on'}`;
    await until(wait, problem, async () => (await node.criAt(sockets.containerd)) === (isBack ? 'on' : 'off'));
  }
  if (name === (isBack ? 'configure containerd' : 'start crid'))
    await listsAll(state, isBack ? sockets.containerd : sockets.crid, wait);
  if (name === 'start the kubelet' && state.record.kubeletActive && !state.record.kubeletFails)
    await staysActive(run, signal);
}

/** systemd starts a kubelet of the usual type successfully even if it ends at once, and then again and again. */
async function staysActive({ node, clock }: MoveRun, signal: AbortSignal): Promise<void> {
  const { restarts: before } = await askUnit(node, 'kubelet');
  const endMs = clock.nowMs() + STAY_MS;
  for (;;) {
    const { isSteady, restarts } = await askUnit(node, 'kubelet');
    if (!isSteady || restarts > before)
      throw new CriError('FAILED_PRECONDITION', 'kubelet.service does not stay active: see journalctl -u kubelet');
    if (clock.nowMs() >= endMs) return;
    await clock.sleep(STAY_ASK_MS, signal);
  }
}

/**
 * Returns the running containers of the plugin, or of crid if the plugin is off. Undefined when the plugin is off and
 * crid does not run: an interrupted move may have left the node so.
 */
async function runningContainers({ node, sockets }: MoveRun, wait: Wait): Promise<string[] | undefined> {
  let serving: string | undefined;
  await until(wait, `neither ${sockets.containerd} nor ${sockets.crid} serves the CRI`, async () => {
    const plugin = await node.criAt(sockets.containerd);
    if (plugin === 'on') serving = sockets.containerd;
    else if (plugin === 'off' && (await node.criAt(sockets.crid)) === 'on') serving = sockets.crid;
    return serving !== undefined || (plugin === 'off' && !(await askUnit(node, 'crid')).isActive);
  });
  if (serving === undefined) return undefined;
  return (await node.containers(serving)).filter(({ running }) => running).map(({ id }) => id);
}

/** Waits until the new server lists every container that ran before. */
async function listsAll({ run, record }: State, socket: string, wait: Wait): Promise<void> {
  let missing: readonly string[] = [];
  await until(
    wait,
    () => `the server at ${socket} does not list ${missing.join(', ') || 'containers'}`,
    async () => {
      if ((await run.node.criAt(socket)) !== 'on') return false;
      const listed = new Set((await run.node.containers(socket)).map(({ id }) => id));
      missing = (record.running ?? []).filter((id) => !listed.has(id));
      return missing.length === 0;
    },
  );
}

/** Gives the node the state of the record. Succeeds when there is nothing to undo. */
async function undo({ run, plan, record }: State, { name, files }: PlannedStep): Promise<void> {
  const { node, sockets } = run;
  const before = plan.record;
  const own = Object.keys(record.files).filter((path) => isOf(name, path, files, run));
  for (const path of own) await restore(run, plan.direction, record, path);
  switch (name) {
    case 'stop the kubelet':
      if (before.kubeletActive) await systemctl(node, ['systemctl', 'start', 'kubelet']);
      return;
    case 'configure containerd':
      // A plugin that still initialises does not respond yet, so only the files tell what containerd has read.
      if (own.length > 0 || (await node.criAt(sockets.containerd)) !== (before.pluginOn ? 'on' : 'off'))
        await systemctl(node, ['systemctl', 'restart', 'containerd']);
      return;
    case 'stop crid':
    case 'start crid':
      return undoCrid(node, before);
    case 'configure the kubelet':
      if (own.some(isUnitFile)) await systemctl(node, ['systemctl', 'daemon-reload']);
      return;
    case 'start the kubelet':
      if (!(await askUnit(node, 'kubelet')).isStopped) await systemctl(node, ['systemctl', 'stop', 'kubelet']);
  }
}

/** Gives a file its content from before the move, unless somebody has changed it since the move wrote it. */
async function restore(
  { node, records, say }: MoveRun,
  direction: Direction,
  record: MoveRecord,
  path: string,
): Promise<void> {
  const now = await node.read(path);
  const original = await records.original(direction, record, path);
  if (isAsWritten(record, path, now)) await apply(node, { path, before: now, after: original });
  else if (now?.text !== original?.text) say(`${path} has been changed since the move wrote it, and stays as it is`);
}

async function undoCrid(node: MoveNode, { cridActive, cridEnabled }: MoveRecord): Promise<void> {
  const { isActive, isStopped, isEnabled } = await askUnit(node, 'crid');
  if (isEnabled !== cridEnabled) await systemctl(node, ['systemctl', cridEnabled ? 'enable' : 'disable', 'crid']);
  if (cridActive && !isActive) await systemctl(node, ['systemctl', 'start', 'crid']);
  if (!cridActive && !isStopped) await systemctl(node, ['systemctl', 'stop', 'crid']);
  if (!cridActive) await systemctl(node, CLEAN);
}

const CLEAN = ['systemctl', 'clean', '--what=fdstore', 'crid'];

/** Whether the step is the one that changes the file, in this run or in an interrupted one. */
function isOf(name: StepName, path: string, files: readonly FileChange[], run: MoveRun): boolean {
  if (name !== 'configure containerd' && name !== 'configure the kubelet') return false;
  if (files.some((change) => change.path === path)) return true;
  return (path.endsWith('.toml') || path === run.containerdConfig) === (name === 'configure containerd');
}

function apply(node: MoveNode, { path, after: file }: FileChange): Promise<void> {
  return file ? node.write(path, file) : node.remove(path);
}

async function systemctl(node: MoveNode, command: readonly string[]): Promise<void> {
  const [program = '', ...args] = command;
  // systemd before 254 has no such store, and refuses to clean it.
  if (command.join(' ') === CLEAN.join(' ') && !(await askUnit(node, 'crid')).storesPipes) return;
  const { code, stderr } = await node.run(program, args);
  if (code !== 0)
    throw new CriError('FAILED_PRECONDITION', `${command.join(' ')}: ${stderr.trim() || `exit code ${code}`}`);
}
