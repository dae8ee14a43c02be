import { CriError } from '../base/errors.js';
import type { MoveNode } from './move-node.js';

/** A service as systemd knows it. */
export interface Unit {
  readonly isLoaded: boolean;
  /** Whether it runs or starts. */
  readonly isActive: boolean;
  /** Whether it runs, rather than starts or waits for its next start. */
  readonly isSteady: boolean;
  /** False also while it stops. */
  readonly isStopped: boolean;
  /** How often systemd has started it anew since it was started by a command. */
  readonly restarts: number;
  readonly isEnabled: boolean;
  /** Whether its files have changed since systemd read them. */
  readonly needsReload: boolean;
  /** Whether systemd holds descriptors of a stopped service. */
  readonly storesPipes: boolean;
  readonly execStart: string;
}

const PROPERTIES = [
  'LoadState',
  'ActiveState',
  'UnitFileState',
  'NeedDaemonReload',
  'NFileDescriptorStore',
  'NRestarts',
  'ExecStart',
];
const STEADY = ['active', 'reloading', 'refreshing'];

/** Asks systemd. FAILED_PRECONDITION when it does not respond. */
export async function askUnit(node: Pick<MoveNode, 'run'>, name: string): Promise<Unit> {
  const { code, stdout, stderr } = await node.run('systemctl', ['show', name, `--property=${PROPERTIES.join(',')}`]);
  if (code !== 0)
    throw new CriError('FAILED_PRECONDITION', `systemctl show ${name}: ${stderr.trim() || `exit code ${code}`}`);
  const properties = new Map(
    stdout.split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
  const get = (property: string): string => properties.get(property) ?? '';
  return {
    isLoaded: get('LoadState') === 'loaded',
    isActive: [...STEADY, 'activating'].includes(get('ActiveState')),
    isSteady: STEADY.includes(get('ActiveState')),
    isStopped: ['inactive', 'failed'].includes(get('ActiveState')),
    restarts: Number(get('NRestarts')),
    isEnabled: get('UnitFileState').startsWith('enabled'),
    needsReload: get('LoadState') === 'loaded' && get('NeedDaemonReload') === 'yes',
    storesPipes: /^[1-9]/.test(get('NFileDescriptorStore')),
    execStart: get('ExecStart'),
  };
}

/** Returns the path of the configuration in containerd's command line, if it names one. */
export function containerdConfigArgument({ execStart }: Pick<Unit, 'execStart'>): string | undefined {
  return /\s(?:--config|-c)(?:=|\s+)(\/[^\s;]+)/.exec(execStart)?.[1];
}

/**
 * Returns the files that systemd has read for the unit, in its order: a later one overrides those before it. Undefined
 * when it has no such unit, or when the files have changed since it read them.
 */
export async function askUnitFiles(
  node: Pick<MoveNode, 'run'>,
  name: string,
): Promise<{ readonly units: readonly string[]; readonly environment: readonly string[] } | undefined> {
  const properties = ['NeedDaemonReload', 'FragmentPath', 'DropInPaths', 'EnvironmentFiles'];
  const { code, stdout } = await node.run('systemctl', ['show', name, `--property=${properties.join(',')}`]);
  const valuesOf = (property: RegExp): string[] =>
    stdout.split('\n').flatMap((line) => (property.test(line) ? [line.slice(line.indexOf('=') + 1)] : []));
  const [unit = ''] = valuesOf(/^FragmentPath=/);
  if (code !== 0 || unit === '' || valuesOf(/^NeedDaemonReload=/)[0] === 'yes') return undefined;
  return {
    units: [unit, ...valuesOf(/^DropInPaths=/).flatMap((paths) => paths.split(' ').filter((path) => path !== ''))],
    // A line for each file; releases of systemd differ in the name: `EnvironmentFiles=PATH (ignore_errors=yes)`.
    environment: valuesOf(/^EnvironmentFiles?=./).map((value) => value.replace(/ \(ignore_errors=\w+\)$/, '')),
  };
}
