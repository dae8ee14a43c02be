import type { SecurityProfile } from '../../../generated/runtime/v1/api.js';
import { CriError } from '../../base/errors.js';
import { chooseProfile } from './security-profile.js';

/** The name of the default profile. The caller generates and loads it on first use. */
const DEFAULT_APPARMOR_PROFILE = 'cri-containerd.apparmor.d';

/** The profile that must be in the kernel before the container starts. */
export type AppArmorNeed =
  | { readonly kind: 'none' }
  /** The default profile, which the caller loads unless it is loaded already. */
  | { readonly kind: 'default'; readonly name: string }
  /** A profile that the administrator must have loaded already. */
  | { readonly kind: 'localhost'; readonly name: string };

/**
 * Returns a container's AppArmor profile: the requested one, or the default if the host has AppArmor. A privileged
 * container gets only a Localhost profile. FAILED_PRECONDITION when a profile is requested and AppArmor is not enabled.
 */
export function appArmorNeed(input: {
  readonly profile: SecurityProfile | undefined;
  /** The older field `apparmor_profile`. */
  readonly legacy: string;
  readonly privileged: boolean;
  /** Whether the host has AppArmor and the configuration does not disable it. */
  readonly enabled: boolean;
}): AppArmorNeed {
  const field = 'config.linux.security_context.apparmor';
  const choice = chooseProfile(input.profile, input.legacy, '', field);
  if (!input.enabled) {
    if (choice !== undefined && choice.kind !== 'unconfined') {
      throw new CriError('FAILED_PRECONDITION', `${field}: AppArmor is not available on this host or disabled`);
    }
    return { kind: 'none' };
  }
  if (choice?.kind === 'unconfined') return { kind: 'none' };
  if (choice?.kind === 'localhost') return { kind: 'localhost', name: choice.ref };
  return input.privileged ? { kind: 'none' } : { kind: 'default', name: DEFAULT_APPARMOR_PROFILE };
}
