import { existsSync, readFileSync } from 'node:fs';

/** Whether profiles can be loaded and applied: the module is on and its interface is mounted. */
export function appArmorEnabled(): boolean {
  if (!existsSync('/sys/kernel/security/apparmor')) return false;
  try {
    return readFileSync('/sys/module/apparmor/parameters/enabled', 'latin1').startsWith('Y');
  } catch {
    return false;
  }
}
