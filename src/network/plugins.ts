import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import PQueue from 'p-queue';
import { CriError, type CodeName } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { isObject, type JsonObject } from './json.js';
import { pluginEnvironment } from './plugin-env.js';
import { MAX_OUTPUT_BYTES, runProcess, type Ended } from './process.js';

export type Verb = 'ADD' | 'DEL' | 'STATUS';

/** One run of a plugin; what is '' is passed empty (STATUS has no container). */
export interface PluginCall {
  readonly verb: Verb;
  readonly type: string;
  readonly network: string;
  readonly containerId: string;
  readonly netns: string;
  readonly ifName: string;
  readonly args: readonly (readonly [string, string])[];
  readonly conf: JsonObject;
}

export interface PluginMetric {
  readonly plugin: string;
  readonly verb: string;
  readonly durationMs: number;
  readonly ok: boolean;
}

/** What a plugin said of its own failure (CNI spec 1.1.0, "Error"); it is the `cause` of the CriError. */
export class PluginFailure extends Error {
  override readonly name = 'PluginFailure';
  constructor(
    readonly cniCode: number,
    message: string,
  ) {
    super(message);
  }
}

export interface Plugins {
  /** The binary's path; FAILED_PRECONDITION names the plugin and the directories when there is none. */
  find(type: string): Promise<string>;
  /** Its stdout. Errors name the plugin, its network, and for how long it hung. */
  run(call: PluginCall, signal: AbortSignal): Promise<string>;
  waitingOn(containerId: string): string | undefined;
}

export interface PluginsOptions {
  readonly binDirs: readonly string[];
  readonly timeoutsMs: Readonly<Record<Verb, number>>;
  readonly maxAtOnce: number;
  readonly log: Logger;
  readonly onPlugin?: ((metric: PluginMetric) => void) | undefined;
}

interface Running {
  readonly call: PluginCall;
  since: number;
  queued: boolean;
}

export function createPlugins(options: PluginsOptions): Plugins {
  const { binDirs, timeoutsMs, log } = options;
  const environment = pluginEnvironment(process.env);
  const queue = new PQueue({ concurrency: options.maxAtOnce });
  const running = new Set<Running>();

  const find = async (type: string): Promise<string> => {
    for (const dir of binDirs) {
      const path = join(dir, type);
      if (
        await stat(path).then(
          (found) => found.isFile(),
          () => false,
        )
      )
        return path;
    }
    throw new CriError(
      'FAILED_PRECONDITION',
      `failed to find plugin ${JSON.stringify(type)} in path [${binDirs.join(' ')}]`,
    );
  };

  const execute = async (entry: Running, path: string, signal: AbortSignal): Promise<string> => {
    const { call } = entry;
    entry.queued = false;
    entry.since = performance.now();
    const timeoutMs = timeoutsMs[call.verb];
    const ended = await runProcess({
      path,
      env: { ...environment, ...variables(call, binDirs) },
      stdin: JSON.stringify(call.conf),
      timeoutMs,
      signal,
    });
    const durationMs = performance.now() - entry.since;
    const ok = ended.kind === 'exited' && ended.code === 0;
    options.onPlugin?.({ plugin: call.type, verb: call.verb, durationMs, ok });
    const { type: plugin, verb, network, containerId } = call;
    const stderr = 'stderr' in ended && ended.stderr !== '' ? { stderr: ended.stderr.slice(0, 4096) } : {};
    log.debug({ plugin, verb, network, containerId, durationMs, ok, ...stderr }, 'cni plugin ran');
    return outputOf(call, ended, durationMs, signal);
  };

  return {
    find,
    async run(call, signal) {
      const path = await find(call.type).catch((thrown: unknown) => {
        throw failed(call, CriError.from(thrown));
      });
      const entry: Running = { call, since: performance.now(), queued: true };
      running.add(entry);
      try {
        // What releases comes before what acquires.
        const priority = call.verb === 'DEL' ? 1 : 0;
        return await queue.add(() => execute(entry, path, signal), { signal, priority });
      } catch (thrown) {
        throw entry.queued ? failed(call, stopReason(thrown)) : thrown;
      } finally {
        running.delete(entry);
      }
    },
    waitingOn(containerId) {
      const oldest = [...running].find(({ call }) => call.containerId === containerId);
      if (!oldest) return undefined;
      const { call, queued, since } = oldest;
      return `plugin ${call.type} (${call.verb}, ${queued ? 'queued ' : ''}${seconds(performance.now() - since)})`;
    },
  };
}

/** The variables of CNI spec 1.1.0, "Parameters"; all are set, so that nothing inherited shines through. */
function variables(call: PluginCall, binDirs: readonly string[]): Record<string, string> {
  return {
    CNI_COMMAND: call.verb,
    CNI_CONTAINERID: call.containerId,
    CNI_NETNS: call.netns,
    CNI_IFNAME: call.ifName,
    CNI_ARGS: call.args.map(([name, value]) => `${name}=${value}`).join(';'),
    CNI_PATH: binDirs.join(':'),
  };
}

function outputOf(call: PluginCall, ended: Ended, durationMs: number, signal: AbortSignal): string {
  const after = seconds(durationMs);
  switch (ended.kind) {
    case 'exited':
      if (ended.code === 0) return ended.stdout;
      throw failed(call, reported(ended));
    case 'died':
      throw failed(call, new CriError('UNKNOWN', `killed by ${ended.signal}${said(ended.stderr)}`));
    case 'not started':
      throw failed(call, new CriError('FAILED_PRECONDITION', `cannot be run: ${ended.reason}`));
    case 'too much output':
      throw failed(call, new CriError('RESOURCE_EXHAUSTED', `killed: wrote more than ${MAX_OUTPUT_BYTES} bytes`));
    case 'timed out':
      throw failed(call, new CriError('DEADLINE_EXCEEDED', `no answer, killed after ${after}`));
    case 'aborted':
      throw failed(call, stopReason(signal.reason).prefixed(`no answer, killed after ${after}`));
  }
}

/** The plugin's own JSON error, or the best that can be made of what it wrote. */
function reported(ended: { readonly code: number; readonly stdout: string; readonly stderr: string }): CriError {
  const failure = parseFailure(ended.stdout) ?? new PluginFailure(0, unexplained(ended));
  return new CriError(grpcCode(failure.cniCode), failure.message, { cause: failure });
}

function parseFailure(stdout: string): PluginFailure | undefined {
  let value: unknown;
  try {
    value = JSON.parse(stdout);
  } catch {
    return undefined;
  }
  if (!isObject(value) || typeof value.msg !== 'string') return undefined;
  const details = typeof value.details === 'string' && value.details !== '' ? `; ${value.details}` : '';
  return new PluginFailure(typeof value.code === 'number' ? value.code : 0, value.msg + details);
}

function unexplained({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }): string {
  const text = stdout.trim() !== '' ? stdout : stderr;
  return `exit status ${code} without a CNI error${said(text)}`;
}

const said = (text: string): string =>
  text.trim() === '' ? '' : `, said ${JSON.stringify(text.trim().slice(0, 512))}`;

/** CNI spec 1.1.0, "Error": 11 is "try again later", 50 and 51 are STATUS's "not available". */
const grpcCode = (cniCode: number): CodeName => ([11, 50, 51].includes(cniCode) ? 'UNAVAILABLE' : 'UNKNOWN');

/** The same shape as libcni's, and always with the network's name. */
function failed(call: PluginCall, error: CriError): CriError {
  const plugin = `plugin type=${JSON.stringify(call.type)} name=${JSON.stringify(call.network)}`;
  const verb = call.verb === 'DEL' ? 'delete' : call.verb.toLowerCase();
  return new CriError(error.code, `${plugin} failed (${verb}): ${error.message}`, { cause: error.cause ?? error });
}

function stopReason(reason: unknown): CriError {
  if (reason instanceof CriError) return reason;
  const name = reason instanceof Error ? reason.name : '';
  if (name === 'TimeoutError') return new CriError('DEADLINE_EXCEEDED', 'deadline exceeded', { cause: reason });
  if (name === 'AbortError') return new CriError('CANCELLED', 'cancelled', { cause: reason });
  return CriError.from(reason);
}

const seconds = (ms: number): string => `${ms < 950 ? (ms / 1000).toFixed(1) : Math.round(ms / 1000)} s`;
