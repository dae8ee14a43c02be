import { CriError, type CodeName } from '../base/errors.js';
import { isObject, type JsonObject } from './json.js';
import { MAX_OUTPUT_BYTES, type Ended } from './run-process.js';

export type Verb = 'ADD' | 'DEL' | 'STATUS' | 'GC';

/** The input of a plugin run. '' is passed as an empty variable (STATUS and GC have no container). */
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

/** The error that a plugin reported (CNI spec 1.1.0, "Error"); the `cause` of the CriError. */
export class PluginFailure extends Error {
  override readonly name = 'PluginFailure';
  constructor(
    readonly cniCode: number,
    message: string,
  ) {
    super(message);
  }
}

/** Returns stdout of a plugin that succeeded; throws for any other end of the process. */
export function outputOf(call: PluginCall, ended: Ended, durationMs: number, signal: AbortSignal): string {
  const after = seconds(durationMs);
  switch (ended.kind) {
    case 'exited':
      if (ended.code === 0) return ended.stdout;
      throw pluginFailed(call, reported(ended));
    case 'died':
      throw pluginFailed(call, new CriError('UNKNOWN', `killed by ${ended.signal}${said(ended.stderr)}`));
    case 'not started':
      throw pluginFailed(call, new CriError('FAILED_PRECONDITION', `cannot be run: ${ended.reason}`));
    case 'too much output':
      throw pluginFailed(call, new CriError('RESOURCE_EXHAUSTED', `killed: wrote more than ${MAX_OUTPUT_BYTES} bytes`));
    case 'timed out':
      throw pluginFailed(call, new CriError('DEADLINE_EXCEEDED', `no answer, killed after ${after}`));
    case 'aborted':
      throw pluginFailed(call, stopReason(signal.reason).prefixed(`no answer, killed after ${after}`));
  }
}

/** Returns an error in libcni's form, always with the network's name. */
export function pluginFailed(call: PluginCall, error: CriError): CriError {
  const plugin = `plugin type=${JSON.stringify(call.type)} name=${JSON.stringify(call.network)}`;
  const verb = call.verb === 'DEL' ? 'delete' : call.verb.toLowerCase();
  return new CriError(error.code, `${plugin} failed (${verb}): ${error.message}`, { cause: error.cause ?? error });
}

/** Converts the reason of an AbortSignal: a CriError stays, a timeout is DEADLINE_EXCEEDED, an abort CANCELLED. */
export function stopReason(reason: unknown): CriError {
  if (reason instanceof CriError) return reason;
  const name = reason instanceof Error ? reason.name : '';
  if (name === 'TimeoutError') return new CriError('DEADLINE_EXCEEDED', 'deadline exceeded', { cause: reason });
  if (name === 'AbortError') return new CriError('CANCELLED', 'cancelled', { cause: reason });
  return CriError.from(reason);
}

/** Formats a duration for messages: tenths below one second, whole seconds above. */
export const seconds = (ms: number): string => `${ms < 950 ? (ms / 1000).toFixed(1) : Math.round(ms / 1000)} s`;

/** Returns the plugin's JSON error, else one made from its output. */
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
