/**
 * The system calls of the default profile, as tables. The names are those that containerd's default profile allows. A
 * runtime skips a name that the machine or its libseccomp does not know.
 */

const words = (text: string): string[] => text.split(/\s+/).filter(Boolean);

/** Files and directories, by path and by descriptor. */
const FILES = words(`
  access cachestat chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat
  faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32
  fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstat64 fstatat64
  fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 getxattr getxattrat
  inotify_add_watch inotify_init inotify_init1 inotify_rm_watch lchown lchown32 lgetxattr link linkat listen
  listmount listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 mkdir mkdirat
  mknod mknodat name_to_handle_at newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64
  pwritev pwritev2 read readahead readlink readlinkat readv removexattr removexattrat rename renameat renameat2
  rmdir sendfile sendfile64 setxattr setxattrat splice stat stat64 statfs statfs64 statmount statx symlink
  symlinkat sync sync_file_range syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat
  utimensat_time64 utimes vmsplice write writev
`);

/** Memory of the process itself. */
const MEMORY = words(`
  brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2
  mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease
  remap_file_pages
`);

/** Operations on existing sockets. For `socket` itself, the filter checks the family (seccomp-default.ts). */
const NETWORK = words(`
  accept accept4 bind connect getpeername getsockname getsockopt recv recvfrom recvmmsg recvmmsg_time64 recvmsg
  send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair
`);

/** Waiting, messages and shared memory between processes. */
const EVENTS = words(`
  epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
  eventfd2 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake io_cancel io_destroy io_getevents
  io_pgetevents io_pgetevents_time64 io_setup io_submit ipc mq_getsetattr mq_notify mq_open mq_timedreceive
  mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd _newselect poll
  ppoll ppoll_time64 pselect6 pselect6_time64 select semctl semget semop semtimedop semtimedop_time64 shmat shmctl
  shmdt shmget signalfd signalfd4 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime
  timerfd_settime64
`);

/** Clocks and timers. Setting the clock needs CAP_SYS_TIME. */
const TIME = words(`
  adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
  clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete
  timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 times
`);

/** Ids, groups, sessions and capabilities. The kernel checks these calls by itself. */
const IDENTITY = words(`
  capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getpgid getpgrp getpid
  getppid getresgid getresgid32 getresuid getresuid32 getsid gettid getuid getuid32 set_tid_address setfsgid
  setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setpgid setregid setregid32 setresgid
  setresgid32 setresuid setresuid32 setreuid setreuid32 setsid setuid setuid32
`);

/** Processes, threads, scheduling, signals and other calls. */
const PROCESSES = words(`
  execve execveat exit exit_group fork get_robust_list get_thread_area getcpu getpriority getrandom getrlimit
  getrusage ioctl ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self
  lsm_get_self_attr lsm_list_modules lsm_set_self_attr pause pidfd_open pidfd_send_signal prctl prlimit64
  restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
  rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min
  sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
  sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield
  seccomp set_robust_list set_thread_area setpriority setrlimit sigaltstack sigprocmask sigreturn sysinfo tgkill
  tkill ugetrlimit uname uretprobe vfork wait4 waitid waitpid
`);

/** Tracing processes of the container and reading their memory: safe since Linux 4.8, which filters after ptrace. */
const TRACING = words('process_vm_readv process_vm_writev ptrace');

/** Allowed for every container, with any arguments. */
export const ALWAYS_ALLOWED: readonly string[] = [
  ...FILES,
  ...MEMORY,
  ...NETWORK,
  ...EVENTS,
  ...TIME,
  ...IDENTITY,
  ...PROCESSES,
  ...TRACING,
];

/** Allowed with the capability. Without it, the kernel refuses the call anyway, or the call is too dangerous. */
export const ALLOWED_BY_CAPABILITY: Readonly<Record<string, readonly string[]>> = {
  CAP_DAC_READ_SEARCH: words('open_by_handle_at'),
  CAP_SYS_ADMIN: words(`
    bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree
    perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare
  `),
  CAP_SYS_BOOT: words('reboot'),
  CAP_SYS_CHROOT: words('chroot'),
  CAP_SYS_MODULE: words('delete_module finit_module init_module'),
  CAP_SYS_PACCT: words('acct'),
  CAP_SYS_PTRACE: words('kcmp pidfd_getfd process_madvise'),
  CAP_SYS_RAWIO: words('ioperm iopl'),
  CAP_SYS_TIME: words('clock_settime clock_settime64 settimeofday stime'),
  CAP_SYS_TTY_CONFIG: words('vhangup'),
  CAP_SYS_NICE: words('get_mempolicy mbind set_mempolicy set_mempolicy_home_node'),
  CAP_SYSLOG: words('syslog'),
  CAP_BPF: words('bpf'),
  CAP_PERFMON: words('perf_event_open'),
};

export interface SeccompMachine {
  /** The native architecture and the others whose programs the machine runs, by libseccomp's names. */
  readonly architectures: readonly string[];
  readonly allowed: readonly string[];
}

/** Returns the machine's part of the profile, by the name that `uname -m` or Node gives the machine. */
export function seccompMachine(machine: string): SeccompMachine {
  return MACHINES[machine] ?? { architectures: [], allowed: [] };
}

const X86_64: SeccompMachine = {
  architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
  allowed: words('arch_prctl modify_ldt'),
};
const ARM64: SeccompMachine = {
  architectures: ['SCMP_ARCH_ARM', 'SCMP_ARCH_AARCH64'],
  allowed: words('arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2'),
};
/** libseccomp uses the native architecture when the list is empty. */
const ARM: SeccompMachine = { ...ARM64, architectures: [] };
const PPC64LE: SeccompMachine = {
  architectures: [],
  allowed: words('swapcontext sync_file_range2'),
};
const RISCV64: SeccompMachine = {
  architectures: ['SCMP_ARCH_RISCV64'],
  allowed: words('riscv_flush_icache riscv_hwprobe'),
};
const LOONG64: SeccompMachine = { architectures: ['SCMP_ARCH_LOONGARCH64'], allowed: [] };

const MACHINES: Readonly<Record<string, SeccompMachine>> = {
  x64: X86_64,
  x86_64: X86_64,
  arm: ARM,
  arm64: ARM64,
  aarch64: ARM64,
  ppc64: PPC64LE,
  ppc64le: PPC64LE,
  riscv64: RISCV64,
  loong64: LOONG64,
  loongarch64: LOONG64,
};
