import { CriError } from '../base/errors.js';
import { appArmorIncludes, loadAppArmorProfile, ownAppArmorProfile, readAppArmorProfiles } from '../host/apparmor.js';
import type { AppArmorNeed } from '../spec/apparmor.js';
import { appArmorProfileName, defaultAppArmorProfile, loadedAppArmorProfiles } from '../spec/apparmor-profile.js';

const INCLUDES = ['abi/3.0', 'tunables/global', 'abstractions/base'];
/** Under some distributions the runtimes have profiles of their own. */
const RUNTIMES = ['runc', 'crun'];

/** One at a time: the profile is loaded by whoever needs it first. */
let loading: Promise<void> = Promise.resolve();

/**
 * Sees to it that the kernel has the profile: the default one is made and loaded, somebody else's must be there
 * (FAILED_PRECONDITION). Asked each time, since profiles go when AppArmor's service restarts.
 */
export async function ensureAppArmorProfile(need: AppArmorNeed): Promise<void> {
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
