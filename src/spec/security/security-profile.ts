import {
  SecurityProfileBase_BaseType,
  SecurityProfile_ProfileType,
  type SecurityProfile,
  type SecurityProfileBase,
} from '../../../generated/runtime/v1/api.js';
import { invalidArgument } from '../../base/errors.js';

/** The seccomp or AppArmor profile that a request selects. */
export type ProfileChoice =
  | { readonly kind: 'default' }
  | { readonly kind: 'unconfined' }
  /** The name of a profile (AppArmor) or the path of its file (seccomp). */
  | { readonly kind: 'localhost'; readonly ref: string };

/** As `ProfileChoice`, and a profile that PullSecurityProfile has pulled, with its base. */
export type SeccompChoice = ProfileChoice | PulledProfile;

export interface PulledProfile {
  readonly kind: 'pulled';
  /** The reference as the pull had it, with a digest. */
  readonly ref: string;
  readonly base: { readonly kind: 'default' } | { readonly kind: 'localhost'; readonly ref: string };
}

/**
 * Returns the profile that a security context selects: the structured field, else the older string, else `fallback`;
 * undefined when none is set. INVALID_ARGUMENT for an unknown type, for a missing reference, for a reference with a
 * type that has none, and for the type OCI, which is for seccomp only.
 */
export function chooseProfile(
  profile: SecurityProfile | undefined,
  legacy: string,
  fallback: string,
  field: string,
): ProfileChoice | undefined {
  const choice = chooseSeccompProfile(profile, legacy, fallback, field);
  if (choice?.kind === 'pulled') throw invalidArgument(`${field}.profile_type`, 'OCI is only for seccomp');
  return choice;
}

/** As `chooseProfile`, with the type OCI. */
export function chooseSeccompProfile(
  profile: SecurityProfile | undefined,
  legacy: string,
  fallback: string,
  field: string,
): SeccompChoice | undefined {
  if (profile !== undefined) return fromMessage(profile, field);
  if (legacy !== '') return fromText(legacy, field);
  return fallback === '' ? undefined : fromText(fallback, 'the configured profile');
}

function fromMessage(profile: SecurityProfile, field: string): SeccompChoice {
  const { profile_type: type, localhost_ref: path, oci_ref, base_profile } = profile;
  const { Localhost, OCI, RuntimeDefault, Unconfined } = SecurityProfile_ProfileType;
  if (type !== Localhost && path !== '') throw notFor(`${field}.localhost_ref`, 'Localhost');
  if (type !== OCI && oci_ref !== '') throw notFor(`${field}.oci_ref`, 'OCI');
  if (type !== OCI && base_profile !== undefined) throw notFor(`${field}.base_profile`, 'OCI');
  switch (type) {
    case Localhost:
      return localhost(path, `${field}.localhost_ref`);
    case RuntimeDefault:
      return { kind: 'default' };
    case Unconfined:
      return { kind: 'unconfined' };
    case OCI:
      return {
        kind: 'pulled',
        ref: pinned(oci_ref, `${field}.oci_ref`),
        base: baseOf(base_profile, `${field}.base_profile`),
      };
    default:
      throw invalidArgument(`${field}.profile_type`, `unknown value ${type}`);
  }
}

function pinned(ref: string, field: string): string {
  if (ref === '') throw invalidArgument(field, 'must not be empty');
  if (!PINNED.test(ref)) throw invalidArgument(field, `${JSON.stringify(ref.slice(0, 200))} has no digest`);
  return ref;
}

/** As in a reference of an image; the pull has checked all of it. */
const PINNED = /^[^@\s]{1,1024}@[a-z0-9]+:[a-f0-9]{32,128}$/;

function baseOf(base: SecurityProfileBase | undefined, field: string): PulledProfile['base'] {
  if (base === undefined) return { kind: 'default' };
  switch (base.type) {
    case SecurityProfileBase_BaseType.RuntimeDefault:
      if (base.localhost_ref !== '') throw notFor(`${field}.localhost_ref`, 'Localhost');
      return { kind: 'default' };
    case SecurityProfileBase_BaseType.Localhost:
      return localhost(base.localhost_ref, `${field}.localhost_ref`);
    default:
      throw invalidArgument(`${field}.type`, `unknown value ${base.type}`);
  }
}

const notFor = (field: string, type: string) => invalidArgument(field, `is only for profiles of type ${type}`);

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

function localhost(text: string, field: string): ProfileChoice & { kind: 'localhost' } {
  const ref = text.startsWith(LOCALHOST) ? text.slice(LOCALHOST.length) : text;
  if (ref === '') throw invalidArgument(field, 'must not be empty');
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(ref)) throw invalidArgument(field, 'contains a control character');
  return { kind: 'localhost', ref };
}
