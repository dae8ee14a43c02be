import type { SecurityProfile } from '../../generated/runtime/v1/api.js';
import { CriError } from '../base/errors.js';
import { chooseProfile } from './security-profile.js';

/** The profile of containers that ask for the default; the caller makes and loads it on first use. */
export const DEFAULT_APPARMOR_PROFILE = 'cri-containerd.apparmor.d';

/** What has to be true in the kernel before the container starts. */
export type AppArmorNeed =
  | { readonly kind: 'none' }
  /** The default profile, to be loaded if it is not yet. */
  | { readonly kind: 'default'; readonly name: string }
  /** Somebody else's profile, which must be loaded already. */
  | { readonly kind: 'localhost'; readonly name: string };

/**
 * The AppArmor profile of a container: asked for, or the default one where the host has AppArmor. A privileged
 * container gets none but a Localhost one. FAILED_PRECONDITION when one is asked for and the host has none.
 */
export function appArmorNeed(input: {
  readonly profile: SecurityProfile | undefined;
  /** The older field `apparmor_profile`. */
  readonly legacy: string;
  readonly privileged: boolean;
  /** Whether the host has AppArmor and the configuration lets it be used. */
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
