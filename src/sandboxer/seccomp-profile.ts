import { readSeccompProfile } from '../host/security/host-seccomp.js';
import type { Steps } from '../operation/steps.js';
import type { OciSeccomp } from '../spec/oci.js';
import { seccompRequest, seccompSources } from '../spec/security/seccomp.js';
import type { HostFacts, SeccompProfiles, SpecOptions } from '../spec/types.js';

/**
 * Returns the profile that PullSecurityProfile has pulled by this reference; never pulls it. NOT_FOUND: it is not
 * present. The images module implements this.
 */
export type ReadPulledProfile = (reference: string, signal: AbortSignal) => Promise<OciSeccomp>;

export interface SeccompDeps {
  readonly host: HostFacts;
  readonly specOptions: SpecOptions;
  readonly readPulledProfile: ReadPulledProfile;
}

/** Reads the profiles that the security context of a pod or a container names by a path or a reference, as steps. */
export async function requestedSeccompProfiles(
  steps: Steps,
  context: Parameters<typeof seccompRequest>[0],
  { host, specOptions, readPulledProfile }: SeccompDeps,
): Promise<SeccompProfiles> {
  const { file, pulled: reference } = seccompSources(seccompRequest(context, host, specOptions));
  const [localhost, pulled] = await Promise.all([
    file &&
      steps.step('read seccomp profile', () => readSeccompProfile(file.path, file.field), undefined, {
        waitingOn: () => file.path,
      }),
    reference === undefined
      ? undefined
      : steps.step('read pulled seccomp profile', (signal) => readPulledProfile(reference, signal)),
  ]);
  return { ...(file && { localhost }), ...(pulled && { pulled }) };
}
