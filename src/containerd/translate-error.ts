import { Code, CriError, type CodeName } from '../base/errors.js';
import { redact } from './redact.js';
import { RpcError } from './rpc.js';

/** The reason why crid ended a call. */
export type Ended = 'deadline' | 'cancelled' | 'closed';

export interface FailedCall {
  /** The name of the port's method: `tasks.start`. */
  readonly method: string;
  /** The id, key or name in the request; "" when there is none. */
  readonly subject: string;
  readonly ended: Ended | undefined;
  readonly timeoutMs: number;
  /** Returns the process that the call waited for: `containerd`, `shim 42 (stopped)`. */
  readonly answering: () => string;
}

/** Converts an error of a call to a CriError. Its message begins with the method and keeps containerd's own text. */
export function translateError(thrown: unknown, call: FailedCall): CriError {
  const about = call.subject === '' ? call.method : `${call.method}: "${call.subject}"`;
  switch (call.ended) {
    case 'deadline':
      return new CriError(
        'DEADLINE_EXCEEDED',
        `${about}: no answer from ${call.answering()} within ${call.timeoutMs} ms`,
      );
    case 'cancelled':
      return new CriError('CANCELLED', `${about}: cancelled by the caller`);
    case 'closed':
      return new CriError('CANCELLED', `${about}: the containerd client is closed`);
    case undefined:
      break;
  }
  if (thrown instanceof CriError) return thrown.prefixed(call.method);
  if (thrown instanceof RpcError) {
    // No cause: it would contain the unredacted text.
    const culprit = isFullDisk(thrown) ? "containerd's disk is full: " : '';
    return new CriError(codeOf(thrown), `${culprit}${call.method}: ${redact(thrown.details)}`);
  }
  return CriError.from(thrown).prefixed(call.method);
}

/** Whether the connection was lost during the call: containerd may or may not have acted on it. */
export const isCutOff = (thrown: unknown): boolean =>
  thrown instanceof RpcError && codeOf(thrown) === 'UNAVAILABLE' && !isNeverSent(thrown);

/** Whether the call found no connection: containerd has not received it, so even a write can be sent again. */
export const isNeverSent = (thrown: unknown): boolean => thrown instanceof RpcError && thrown.neverSent;

const names = new Map<number, CodeName>(Object.entries(Code).map(([name, number]) => [number, name as CodeName]));

/** ENOSPC and EDQUOT, which containerd returns as text without a code. */
const isFullDisk = ({ details }: RpcError): boolean => /no space left on device|disk quota exceeded/.test(details);

function codeOf(error: RpcError): CodeName {
  const { code, details } = error;
  const name = names.get(code) ?? 'UNKNOWN';
  // crid did not cancel the call, so containerd is stopping: it cancels the contexts of its handlers.
  if (name === 'CANCELLED') return 'UNAVAILABLE';
  if (name === 'INTERNAL' && /RST_STREAM|ECONNRESET|EPIPE/.test(details)) return 'UNAVAILABLE';
  // bbolt's error once a stopping containerd has closed its metadata store.
  if (name === 'UNKNOWN' && details.includes('database not open')) return 'UNAVAILABLE';
  if (name === 'UNKNOWN' && isFullDisk(error)) return 'RESOURCE_EXHAUSTED';
  // runc's shim returns these errors without a code.
  if (name === 'UNKNOWN' && /cannot delete a (running|paused) process|cannot update a stopped container/.test(details))
    return 'FAILED_PRECONDITION';
  return name;
}
