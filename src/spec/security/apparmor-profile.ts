/**
 * Returns the text (apparmor.d(5)) of the default AppArmor profile. It allows everything except mounts and access that
 * would change the host: most of /proc/sys and /sys, and the kernel's memory.
 */
export function defaultAppArmorProfile(input: {
  readonly name: string;
  /** Profiles that may send signals to the container: the runtimes' and crid's. `unconfined` is always added. */
  readonly signallers: readonly string[];
  /** The files below /etc/apparmor.d that the host has: `tunables/global`, `abstractions/base`, `abi/3.0`. */
  readonly includes: ReadonlySet<string>;
}): string {
  const { name, includes } = input;
  const signallers = [...new Set(['unconfined', ...input.signallers])];
  return [
    ...(includes.has('abi/3.0') ? ['abi <abi/3.0>,'] : []),
    includes.has('tunables/global') ? 'include <tunables/global>' : '@{PROC}=/proc/',
    `profile ${name} flags=(attach_disconnected,mediate_deleted) {`,
    ...[
      ...(includes.has('abstractions/base') ? ['include <abstractions/base>'] : []),
      'file,',
      'network,',
      'capability,',
      'umount,',
      'deny mount,',
      ...signallers.map((peer) => `signal (receive) peer=${peer},`),
      `signal (send, receive) peer=${name},`,
      `ptrace (trace, tracedby, read, readby) peer=${name},`,
      ...DENIED.map(([path, access]) => `deny ${path} ${access},`),
    ].map((rule) => `  ${rule}`),
    '}',
    '',
  ].join('\n');
}

/** The profile names in the content of /sys/kernel/security/apparmor/profiles: one `NAME (enforce)` per line. */
export const loadedAppArmorProfiles = (text: string): Set<string> =>
  new Set(text.split('\n').flatMap((line) => /^(.+) \([a-z]+\)$/.exec(line)?.[1] ?? []));

/** The name of a process's profile, from its /proc/PID/attr/current: `NAME (enforce)` or `unconfined`. */
export const appArmorProfileName = (current: string): string => current.trim().split(' ')[0] || 'unconfined';

/** Denies /proc/sys except kernel/shm* and /sys except fs/cgroup. A glob can negate single letters, not words. */
const DENIED: readonly (readonly [string, string])[] = [
  ['@{PROC}/{kcore,kmem,mem,sysrq-trigger}', 'rwklx'],
  ['@{PROC}/*', 'w'],
  ['@{PROC}/{acpi,asound,bus,driver,dynamic_debug,fs,irq,scsi,tty}/**', 'w'],
  ['@{PROC}/sys/{[^k],k[^e],ke[^r]}**', 'w'],
  ['@{PROC}/sys/kernel/{[^s],s[^h],sh[^m]}**', 'w'],
  ['@{PROC}/sys/kernel/{?,??}', 'w'],
  ['/sys/{[^f],f[^s]}*/**', 'wklx'],
  ['/sys/fs/{[^c],c[^g],cg[^r]}*/**', 'wklx'],
  ['/sys/{firmware,devices/virtual/powercap,kernel/security}/**', 'rwklx'],
];
