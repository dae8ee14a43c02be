import type { ListSecurityProfilesRequest, ListSecurityProfilesResponse } from '../../../generated/runtime/v1/api.js';
import type { Caller } from '../../operation/operation.js';
import type { ImageDeps } from '../image-deps.js';

/** Returns the pulled profiles (CRI ListSecurityProfiles, beta), as containerd has them. */
export const listSecurityProfiles =
  ({ profiles }: Pick<ImageDeps, 'profiles'>) =>
  async (_request: ListSecurityProfilesRequest, { signal }: Caller): Promise<ListSecurityProfilesResponse> => ({
    profiles: (await profiles.list(signal)).map(({ digest, references, sizeBytes }) => ({
      digest,
      refs: [...references],
      size: sizeBytes,
    })),
  });
