import { CriError } from '../base/errors.js';
import {
  appArmorIncludes,
  loadAppArmorProfile,
  ownAppArmorProfile,
  readAppArmorProfiles,
} from '../host/security/host-apparmor.js';
import type { AppArmorNeed } from '../spec/security/apparmor-need.js';
import {
  appArmorProfileName,
  defaultAppArmorProfile,
  loadedAppArmorProfiles,
} from '../spec/security/apparmor-profile.js';

const INCLUDES = ['abi/3.0', 'tunables/global', 'abstractions/base'];
/** Profiles that some distributions give to the OCI runtimes; the default profile lets them signal the container. */
const RUNTIMES = ['runc', 'crun'];

/** The AppArmor profiles of the kernel. */
export interface AppArmor {
  /**
   * Ensures that the kernel has the profile: loads the default one, and throws FAILED_PRECONDITION when a localhost
   * profile is not loaded. Checks on every call, since a restart of AppArmor's service unloads profiles.
   */
  ensure(need: AppArmorNeed): Promise<void>;
}

export function createAppArmor(): AppArmor {
  /** Loads run one after another: the first one loads the default profile, the others find it loaded. */
  let loading: Promise<void> = Promise.resolve();

  return {
    async ensure(need) {
      switch (need.kind) {
        case 'none':
          return;
        case 'localhost':
          if (await isLoaded(need.name)) return;
          throw new CriError(
            'FAILED_PRECONDITION',
            `config.linux.security_context.apparmor.localhost_ref: profile "${need.name}" is not loaded on this host`,
          );
        case 'default':
          loading = loading.catch(() => undefined).then(() => loadDefault(need.name));
          return loading;
      }
    },
  };
}

async function loadDefault(name: string): Promise<void> {
  if (await isLoaded(name)) return;
  const own = appArmorProfileName(await ownAppArmorProfile());
  await loadAppArmorProfile(
    defaultAppArmorProfile({ name, signallers: [...RUNTIMES, own], includes: appArmorIncludes(INCLUDES) }),
  );
}

const isLoaded = async (name: string): Promise<boolean> =>
  loadedAppArmorProfiles(await readAppArmorProfiles()).has(name);
