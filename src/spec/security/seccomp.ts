import type { LinuxContainerSecurityContext, SecurityProfile } from '../../../generated/runtime/v1/api.js';
import { CriError, invalidArgument } from '../../base/errors.js';
import type { OciSeccomp } from '../oci.js';
import type { HostFacts, SpecOptions } from '../types.js';
import { defaultSeccompProfile } from './seccomp-default.js';
import { chooseProfile, type ProfileChoice } from './security-profile.js';

export interface SeccompRequest {
  readonly profile: SecurityProfile | undefined;
  /** The older field `seccomp_profile_path`. */
  readonly legacy: string;
  /** `unset_seccomp_profile` of the configuration. */
  readonly unset: string;
  readonly privileged: boolean;
  /** Whether the kernel can filter system calls. */
  readonly enabled: boolean;
}

/** The seccomp request of a pod's or a container's security context. Both have the same fields. */
export const seccompRequest = (
  context: Pick<LinuxContainerSecurityContext, 'seccomp' | 'seccomp_profile_path' | 'privileged'> | undefined,
  host: Pick<HostFacts, 'seccomp'>,
  options: Pick<SpecOptions, 'unsetSeccompProfile'>,
): SeccompRequest => ({
  profile: context?.seccomp,
  legacy: context?.seccomp_profile_path ?? '',
  unset: options.unsetSeccompProfile,
  privileged: context?.privileged ?? false,
  enabled: host.seccomp,
});

/** The path of a Localhost profile, which the caller reads and parses; undefined if the request has none. */
export function localhostSeccompPath(request: SeccompRequest): string | undefined {
  const choice = seccompChoice(request);
  return choice?.kind === 'localhost' ? choice.ref : undefined;
}

/**
 * Returns the system call filter. Without a request it is that of `unset_seccomp_profile`, else the base spec's, else
 * none. RuntimeDefault depends on the final capabilities. A privileged container has no filter. FAILED_PRECONDITION
 * when a profile is requested and the kernel has no filters.
 */
export function containerSeccomp(
  request: SeccompRequest,
  values: {
    /** The container's final bounding set. */
    readonly capabilities: readonly string[];
    readonly machine: string;
    /** The parsed file of a Localhost profile. */
    readonly localhost: unknown;
    readonly base?: OciSeccomp | undefined;
  },
): OciSeccomp | undefined {
  if (request.privileged) return undefined;
  const choice = seccompChoice(request);
  switch (choice?.kind) {
    case undefined:
      return values.base;
    case 'unconfined':
      return undefined;
    case 'default':
      return defaultSeccompProfile(values.capabilities, values.machine);
    case 'localhost':
      return localhostProfile(values.localhost, choice.ref);
  }
}

const FIELD = 'config.linux.security_context.seccomp';

function seccompChoice(request: SeccompRequest): ProfileChoice | undefined {
  if (request.privileged) return undefined;
  const choice = chooseProfile(request.profile, request.legacy, request.unset, FIELD);
  if (choice && choice.kind !== 'unconfined' && !request.enabled) {
    throw new CriError('FAILED_PRECONDITION', `${FIELD}: this kernel has no seccomp filters`);
  }
  return choice;
}

function localhostProfile(content: unknown, path: string): OciSeccomp {
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw invalidArgument(`${FIELD}.localhost_ref`, `${path} is not a JSON object`);
  }
  if (!('defaultAction' in content) || typeof content.defaultAction !== 'string') {
    throw invalidArgument(`${FIELD}.localhost_ref`, `${path} has no defaultAction`);
  }
  return content as OciSeccomp;
}
