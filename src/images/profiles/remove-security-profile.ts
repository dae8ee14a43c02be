import type { RemoveSecurityProfileRequest, RemoveSecurityProfileResponse } from '../../../generated/runtime/v1/api.js';
import { invalidArgument } from '../../base/errors.js';
import type { Caller } from '../../operation/operation.js';
import { isDigest } from '../../state/image-reference.js';
import type { ImageDeps } from '../image-deps.js';
import { profileKey } from './pull-security-profile.js';

const LIMIT_MS = 5 * 60_000;

/**
 * Removes a pulled profile and all its references (CRI RemoveSecurityProfile, beta); containerd collects its content
 * before the response. A profile that is not present is a success. Containers that run with the profile keep it: their
 * spec has a copy. INVALID_ARGUMENT: `digest` is not a digest.
 */
export const removeSecurityProfile =
  ({ operations, profiles }: Pick<ImageDeps, 'operations' | 'profiles'>) =>
  async ({ digest }: RemoveSecurityProfileRequest, caller: Caller): Promise<RemoveSecurityProfileResponse> => {
    if (!isDigest(digest)) throw invalidArgument('digest', `${JSON.stringify(digest.slice(0, 200))} is not a digest`);
    await operations.run({
      kind: 'remove security profile',
      subject: digest,
      key: profileKey(digest),
      fingerprint: '',
      caller,
      limitMs: LIMIT_MS,
      work: async (steps) => {
        const names = await steps.step('look up profile', async (signal) => {
          const profile = (await profiles.list(signal)).find((each) => each.digest === digest);
          return profile?.references ?? [];
        });
        for (const [index, name] of names.entries()) {
          const sync = index === names.length - 1;
          await steps.step(`remove ${name}`, (signal) =>
            profiles.stores.images.delete(name, sync, { signal, timeoutMs: LIMIT_MS }),
          );
        }
      },
    });
    return {};
  };
