import { systemCall } from './libc.js';

/** System calls and flags that several files use. */

/** Also SOCK_CLOEXEC, EPOLL_CLOEXEC and EFD_CLOEXEC. */
export const O_CLOEXEC = 0o2000000;
export const O_PATH = 0o10000000;
export const AT_FDCWD = -100;

export const closeFd = systemCall('close', ['int']);
export const ioctl = systemCall('ioctl', ['int', 'ulong', 'void *']);
export const lseek = systemCall('lseek', ['int', 'int64_t', 'int'], 'lseek', 'int64_t');
export const mountCall = systemCall('mount', ['const char *', 'const char *', 'const char *', 'ulong', 'const char *']);
export const pipe2 = systemCall('pipe2', ['_Out_ int *', 'int']);
export const socketCall = systemCall('socket', ['int', 'int', 'int']);
