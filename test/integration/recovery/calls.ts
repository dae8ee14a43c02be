import { Metadata } from 'nice-grpc';

/**
 * Options of a call with a deadline that its server is told of, as a kubelet's calls have one. The client itself waits
 * longer, so that what the server says about it arrives.
 */
export const withDeadline = (timeoutMs: number): { metadata: Metadata; signal: AbortSignal } => ({
  metadata: Metadata({ 'grpc-timeout': `${timeoutMs}m` }),
  signal: AbortSignal.timeout(timeoutMs + ANSWER_LIMIT_MS),
});

/** Options of a call that is to be answered at once, with much room for a busy machine. */
export const prompt = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(ANSWER_LIMIT_MS) });

const ANSWER_LIMIT_MS = 10_000;
