import { CriError, doing } from '../../base/errors.js';
import type { OciSeccomp } from '../../spec/oci.js';
import type { ProfileStore } from './profile-store.js';

/**
 * Returns the pulled profile of a reference, as PullSecurityProfile was given it. NOT_FOUND: there is none, or
 * containerd does not have all of it; it is not pulled (CRI SecurityProfile, type OCI).
 */
export const readPulledProfile =
  (profiles: ProfileStore) =>
  async (reference: string, signal: AbortSignal): Promise<OciSeccomp> => {
    const record = await profiles.find(reference, signal);
    const what = `security profile "${reference}"`;
    if (!record) throw new CriError('NOT_FOUND', `${what} is not present, PullSecurityProfile must pull it first`);
    return (await doing(what, () => profiles.read(record.target, signal))).profile;
  };
