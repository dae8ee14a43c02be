import { stringify } from 'smol-toml';
import type { RuntimeServiceClient } from '../../generated/runtime/v1/api.js';
import { CriError, isCode } from '../base/errors.js';
import { withoutCredentials } from '../config/redacted.js';
import { changesBetween, type OptionChange } from '../config/reload.js';
import { defaultConfig, type Config } from '../config/schema.js';
import type { Tree } from '../config/tree.js';
import { stringifyGoJson } from '../state/go-json.js';
import { withCriClient } from './cri-client.js';

const CALL_LIMIT_MS = 10_000;

/**
 * Returns the differences to the crid that serves on `socket`; without one, to the crid on the configured socket, or
 * else on the default socket: a file with a new `crid.listen` names a socket that no crid has before the restart.
 */
export async function diffToRunning(
  loaded: Config,
  socket: string | undefined,
  usual = defaultConfig().crid.listen,
): Promise<readonly OptionChange[]> {
  const compare = (listen: string): Promise<readonly OptionChange[]> =>
    withCriClient(listen, ({ runtime }) => configDiff(runtime, loaded));
  if (socket !== undefined) return compare(socket);
  const configured = loaded.crid.listen;
  try {
    return await compare(configured);
  } catch (thrown) {
    if (!isCode(thrown, 'UNAVAILABLE')) throw thrown;
    const found = configured === usual ? undefined : await compare(usual).catch(() => undefined);
    if (found) return found;
    const hint = '--socket names the socket of a running crid whose crid.listen differs from the file';
    throw new CriError('UNAVAILABLE', `${thrown.message}; ${hint}`, { cause: thrown });
  }
}

/**
 * Returns the differences between the configuration of a running crid and one that was loaded from the files. The
 * running crid does not tell its credentials, so those are not compared.
 */
export async function configDiff(
  runtime: Pick<RuntimeServiceClient, 'status'>,
  loaded: Config,
): Promise<readonly OptionChange[]> {
  const { info } = await runtime.status({ verbose: true }, { signal: AbortSignal.timeout(CALL_LIMIT_MS) });
  const running = info['cridConfig'];
  if (running === undefined) throw new CriError('UNIMPLEMENTED', 'this CRI server does not report its configuration');
  // Both in the form of Status, which has no bigints.
  const comparable = JSON.parse(stringifyGoJson(withoutCredentials(loaded))) as Tree;
  return changesBetween(JSON.parse(running) as Tree, comparable);
}

/** Returns the output of `crid config diff`. */
export function describeDiff(changes: readonly OptionChange[]): string {
  if (changes.length === 0) return 'no differences\n';
  const part = (title: string, needsRestart: boolean): string[] => {
    const lines = changes.filter((change) => change.needsRestart === needsRestart).map(line);
    return lines.length > 0 ? [title, ...lines] : [];
  };
  return [...part('a reload changes:', false), ...part('a restart is needed for:', true), ''].join('\n');
}

const line = (change: OptionChange): string => `  ${change.option}: ${shown(change.old)} -> ${shown(change.new)}`;

/** Returns a value in TOML, on one line. */
function shown(value: unknown): string {
  if (value === undefined) return 'not set';
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return stringify({ value }).slice('value = '.length).trimEnd();
  }
  const entries = Object.entries(value).map(([key, inner]) => {
    const [name] = stringify({ [key]: 0 }).split(' = ');
    return `${name} = ${shown(inner)}`;
  });
  return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`;
}
