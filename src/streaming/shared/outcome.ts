/** The outcome of an exec or an attach, as it is sent to the client. */
export type Outcome =
  { readonly kind: 'exited'; readonly exitCode: number } | { readonly kind: 'failed'; readonly message: string };

/**
 * Returns the text of the error stream. From protocol version 4 on it is a Status of the Kubernetes API
 * (k8s.io/apimachinery, metav1.Status). Before version 4 it is a message, and empty on success.
 */
export function outcomeText(outcome: Outcome, version: number): string {
  if (version < 4) return messageOf(outcome) ?? '';
  return JSON.stringify({ metadata: {}, ...statusOf(outcome) });
}

function messageOf(outcome: Outcome): string | undefined {
  if (outcome.kind === 'failed') return outcome.message;
  if (outcome.exitCode === 0) return undefined;
  return `command terminated with non-zero exit code: exit code ${outcome.exitCode}`;
}

function statusOf(outcome: Outcome): object {
  const message = messageOf(outcome);
  if (message === undefined) return { status: 'Success' };
  if (outcome.kind === 'failed') {
    return { status: 'Failure', message, reason: 'InternalError', details: { causes: [{ message }] }, code: 500 };
  }
  const causes = [{ reason: 'ExitCode', message: String(outcome.exitCode) }];
  return { status: 'Failure', message, reason: 'NonZeroExitCode', details: { causes } };
}
