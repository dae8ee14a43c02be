import { readSeccompProfile } from '../host/security/host-seccomp.js';
import type { Steps } from '../operation/steps.js';
import { localhostSeccompPath, seccompRequest } from '../spec/security/seccomp.js';
import type { HostFacts, SpecOptions } from '../spec/types.js';

const FIELD = 'config.linux.security_context.seccomp.localhost_ref';

/**
 * Reads the Localhost profile that the security context of a pod or a container requests, as a step. Returns undefined
 * when it requests none.
 */
export async function requestedSeccompProfile(
  steps: Steps,
  context: Parameters<typeof seccompRequest>[0],
  { host, specOptions }: { readonly host: HostFacts; readonly specOptions: SpecOptions },
): Promise<unknown> {
  const path = localhostSeccompPath(seccompRequest(context, host, specOptions));
  if (path === undefined) return undefined;
  return steps.step('read seccomp profile', () => readSeccompProfile(path, FIELD), undefined, {
    waitingOn: () => path,
  });
}
