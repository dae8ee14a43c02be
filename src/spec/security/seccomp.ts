import type { LinuxContainerSecurityContext, SecurityProfile } from '../../../generated/runtime/v1/api.js';
import { CriError, invalidArgument } from '../../base/errors.js';
import type { OciSeccomp } from '../oci.js';
import type { HostFacts, SeccompProfiles, SpecOptions } from '../types.js';
import { defaultSeccompProfile } from './seccomp-default.js';
import { intersectSeccomp } from './seccomp-intersection.js';
import { chooseSeccompProfile, type PulledProfile, type SeccompChoice } from './security-profile.js';

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

/** The profiles of a request that are not in the request itself; the caller reads them. */
export interface SeccompSources {
  /** The file of a Localhost profile, alone or as the base of a pulled one, and the field that names it. */
  readonly file?: { readonly path: string; readonly field: string };
  /** The reference of a pulled profile. */
  readonly pulled?: string;
}

export function seccompSources(request: SeccompRequest): SeccompSources {
  const choice = seccompChoice(request);
  switch (choice?.kind) {
    case 'localhost':
      return { file: { path: choice.ref, field: `${FIELD}.localhost_ref` } };
    case 'pulled': {
      const { ref, base } = choice;
      const file = base.kind === 'localhost' && { path: base.ref, field: BASE_FIELD };
      return { pulled: ref, ...(file && { file }) };
    }
    default:
      return {};
  }
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
    readonly profiles: SeccompProfiles | undefined;
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
      return localhostProfile(values.profiles?.localhost, choice.ref, `${FIELD}.localhost_ref`);
    case 'pulled':
      return pulledProfile(choice, values);
  }
}

/** Returns the intersection of a pulled profile and its base. */
function pulledProfile(
  { ref, base }: PulledProfile,
  { profiles, capabilities, machine }: Omit<Parameters<typeof containerSeccomp>[1], 'base'>,
): OciSeccomp {
  if (!profiles?.pulled) throw new CriError('INTERNAL', `security profile "${ref}" has not been read`);
  const below =
    base.kind === 'default'
      ? defaultSeccompProfile(capabilities, machine)
      : withRules(localhostProfile(profiles.localhost, base.ref, BASE_FIELD), base.ref);
  try {
    return intersectSeccomp(profiles.pulled, below);
  } catch (thrown) {
    throw CriError.from(thrown).prefixed(`${FIELD}: profile "${ref}" with its base`);
  }
}

const FIELD = 'config.linux.security_context.seccomp';
const BASE_FIELD = `${FIELD}.base_profile.localhost_ref`;

function seccompChoice(request: SeccompRequest): SeccompChoice | undefined {
  if (request.privileged) return undefined;
  const choice = chooseSeccompProfile(request.profile, request.legacy, request.unset, FIELD);
  if (choice && choice.kind !== 'unconfined' && !request.enabled) {
    throw new CriError('FAILED_PRECONDITION', `${FIELD}: this kernel has no seccomp filters`);
  }
  return choice;
}

function localhostProfile(content: unknown, path: string, field: string): OciSeccomp {
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw invalidArgument(field, `${path} is not a JSON object`);
  }
  if (!('defaultAction' in content) || typeof content.defaultAction !== 'string') {
    throw invalidArgument(field, `${path} has no defaultAction`);
  }
  return content as OciSeccomp;
}

/** A runtime reads the rules of a Localhost profile itself, but those of a base are combined here. */
function withRules(profile: OciSeccomp, path: string): OciSeccomp {
  const isRule = (rule: unknown): boolean => {
    const { names, action, args } = (rule ?? {}) as Record<string, unknown>;
    return (
      Array.isArray(names) && typeof action === 'string' && (args === undefined || args === null || Array.isArray(args))
    );
  };
  const rules: unknown = profile.syscalls ?? [];
  if (Array.isArray(rules) && rules.every(isRule)) return profile;
  throw invalidArgument(BASE_FIELD, `${path} has syscalls that are not rules`);
}
