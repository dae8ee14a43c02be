import { Code, CriError, type CodeName } from '../base/errors.js';
import type { Status } from '../../generated/google/rpc/status.js';

/** The error that the peer returned for a call. All other errors of a call are faults of the connection or the time. */
export class PeerError extends CriError {}

export function peerError({ code, message }: Pick<Status, 'code' | 'message'>): PeerError {
  const name = CODE_NAMES.get(code) ?? 'UNKNOWN';
  return new PeerError(name, message.slice(0, MAX_TEXT_CHARACTERS));
}

export function statusOf(thrown: unknown): Status {
  const { code, message } = CriError.from(thrown);
  return { code: Code[code], message, details: [] };
}

/** Limits the text of a peer, which goes into logs and responses. */
const MAX_TEXT_CHARACTERS = 4096;
const CODE_NAMES = new Map(Object.entries(Code).map(([name, code]) => [code as number, name as CodeName]));
