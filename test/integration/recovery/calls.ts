import { Metadata } from 'nice-grpc';

/**
 * Options of a call with a deadline that its server sees, like a kubelet's. The client waits longer, so that it
 * receives the server's error.
 */
export const withDeadline = (timeoutMs: number): { metadata: Metadata; signal: AbortSignal } => ({
  metadata: Metadata({ 'grpc-timeout': `${timeoutMs}m` }),
  signal: AbortSignal.timeout(timeoutMs + ANSWER_LIMIT_MS),
});

/** Options of a call that must finish at once; the limit is generous for a busy machine. */
export const prompt = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(ANSWER_LIMIT_MS) });

const ANSWER_LIMIT_MS = 10_000;
