import { ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';
import type { Metadata } from 'nice-grpc';

/**
 * grpc-js knows a call's deadline, nice-grpc does not pass it on: an interceptor writes it into the call's metadata
 * (https://github.com/deeplay-io/nice-grpc has no field for it as of 2.1). A client cannot set it: it is overwritten.
 */
const KEY = 'crid-deadline-ms';

export const deadlineInterceptor: ServerInterceptor = (_method, call) =>
  new ServerInterceptingCall(call, {
    start: (next) =>
      next({
        onReceiveMetadata(metadata, pass) {
          const deadline = call.getDeadline();
          const deadlineMs = deadline instanceof Date ? deadline.getTime() : deadline;
          metadata.remove(KEY);
          if (Number.isFinite(deadlineMs)) metadata.set(KEY, String(deadlineMs));
          pass(metadata);
        },
      }),
  });

/** Milliseconds since the epoch, or undefined where the caller waits for ever. */
export function deadlineOf(metadata: Metadata): number | undefined {
  const value = metadata.get(KEY);
  return value === undefined ? undefined : Number(value);
}
