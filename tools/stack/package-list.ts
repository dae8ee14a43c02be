/** The Debian suite with containerd 2.x; earlier releases have 1.x. */
export const SUITE = 'forky';

/**
 * The suite of an older busybox: from 1.38 on its shell prints `sh: line 0: ls: Permission denied`, and critest expects
 * the message without the line number.
 */
export const BUSYBOX_SUITE = 'trixie';

export const PACKAGES: readonly string[] = [
  'containerd',
  'runc',
  'crun',
  'containernetworking-plugins',
  'docker-registry',
  // The contents of the images.
  `busybox/${BUSYBOX_SUITE}`,
  'procps',
  'util-linux',
  // runc and crun need a newer C library than a host may have; patchelf points them to this one.
  'patchelf',
  'libc6',
  'libgcc-s1',
  'libstdc++6',
  'libseccomp2',
  'libyajl2',
  'libcap2',
  'libsystemd0',
  'libgcrypt20',
  'libgpg-error0',
  'libblkid1',
  'libmount1',
  'libselinux1',
  'libpcre2-8-0',
  'libjson-c5',
  'libblake3-0',
  'libproc2-1',
  // For checkpoints: CRIU and the libraries that it is linked with.
  'criu',
  'libbsd0',
  'libmd0',
  'libuuid1',
  'libprotobuf-c1',
  'libnl-3-200',
  'libnet9',
  'libnftables1',
  'libnftnl11',
  'libmnl0',
  'libxtables12',
  'libjansson4',
  'libgnutls30t64',
  'libp11-kit0',
  'libffi8',
  'libidn2-0',
  'libunistring5',
  'libtasn1-6',
  'libnettle8t64',
  'libhogweed6t64',
  'libgmp10',
];
