import { CriError } from '../base/errors.js';

/** Whether containerd has no connection to a shim any more: Go's ttrpc.ErrClosed, which has no code of its own. */
export const isShimLost = (thrown: unknown): boolean =>
  thrown instanceof CriError && thrown.message.includes('ttrpc: closed');

/**
 * Whether a shim has ended during the call: containerd passes on the text of its connection to the shim. The texts of
 * an OCI runtime are of another kind, but often end in "no such file or directory", too.
 */
export function isOfEndedShim(thrown: unknown): boolean {
  const { message } = CriError.from(thrown);
  const isOfConnection = /ttrpc: closed|connection reset by peer|\bdial .*(connection refused|no such file)/;
  return !message.includes('OCI runtime') && isOfConnection.test(message);
}
