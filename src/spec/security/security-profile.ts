import { SecurityProfile_ProfileType, type SecurityProfile } from '../../../generated/runtime/v1/api.js';
import { invalidArgument } from '../../base/errors.js';

/** The seccomp or AppArmor profile that a request selects. */
export type ProfileChoice =
  | { readonly kind: 'default' }
  | { readonly kind: 'unconfined' }
  /** The name of a profile (AppArmor) or the path of its file (seccomp). */
  | { readonly kind: 'localhost'; readonly ref: string };

/**
 * Returns the profile that a security context selects: the structured field, else the older string, else `fallback`;
 * undefined when none is set. INVALID_ARGUMENT for an unknown type, for a missing reference and for a reference with a
 * type other than Localhost.
 */
export function chooseProfile(
  profile: SecurityProfile | undefined,
  legacy: string,
  fallback: string,
  field: string,
): ProfileChoice | undefined {
  if (profile !== undefined) return fromMessage(profile, field);
  if (legacy !== '') return fromText(legacy, field);
  return fallback === '' ? undefined : fromText(fallback, 'the configured profile');
}

function fromMessage({ profile_type, localhost_ref }: SecurityProfile, field: string): ProfileChoice {
  if (profile_type === SecurityProfile_ProfileType.Localhost) return localhost(localhost_ref, `${field}.localhost_ref`);
  if (localhost_ref !== '') throw invalidArgument(`${field}.localhost_ref`, 'is only for profiles of type Localhost');
  switch (profile_type) {
    case SecurityProfile_ProfileType.RuntimeDefault:
      return { kind: 'default' };
    case SecurityProfile_ProfileType.Unconfined:
      return { kind: 'unconfined' };
    default:
      throw invalidArgument(`${field}.profile_type`, `unknown value ${profile_type}`);
  }
}

function fromText(text: string, field: string): ProfileChoice {
  switch (text) {
    case 'runtime/default':
    case 'docker/default':
      return { kind: 'default' };
    case 'unconfined':
      return { kind: 'unconfined' };
    default:
      if (!text.startsWith(LOCALHOST)) throw invalidArgument(field, `unknown profile "${text}"`);
      return localhost(text, field);
  }
}

const LOCALHOST = 'localhost/';

function localhost(text: string, field: string): ProfileChoice {
  const ref = text.startsWith(LOCALHOST) ? text.slice(LOCALHOST.length) : text;
  if (ref === '') throw invalidArgument(field, 'must not be empty');
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(ref)) throw invalidArgument(field, 'contains a control character');
  return { kind: 'localhost', ref };
}
