import { ownArchitecture, type Architecture } from '../stack/architectures.js';

/** Returns the packages of the node. They come from the same Debian suite as the stack's. */
export const packages = (architecture: Architecture): readonly string[] => [
  `linux-image-cloud-${architecture}`,
  ...PACKAGES,
  ...(architecture === ownArchitecture() ? [] : MAKERS),
];

const PACKAGES = [
  'initramfs-tools',
  'zstd',
  'systemd-sysv',
  'dbus',
  'udev',
  'kmod',
  'apparmor',
  'procps',
  'sudo',
  'openssh-server',
  'ca-certificates',
  // The runtime and its companions.
  'containerd',
  'runc',
  'crun',
  'containernetworking-plugins',
  'docker-registry',
  'nodejs',
  // Other requirements of a kubelet.
  'iproute2',
  'iptables',
  'nftables',
  'conntrack',
  'ethtool',
  'socat',
  // For debugging.
  'strace',
];

/**
 * A host of another architecture cannot make the images and the programs of the tests, so the node makes them. Some
 * unit tests run Python.
 */
const MAKERS = ['gcc', 'libc6-dev', 'busybox', 'patchelf', 'python3-minimal'];

/** A file of the guest: its text, or the target of a symbolic link. */
export type GuestFile = string | { readonly link: string };

/** The initrd contains only the disk's driver. The kernel has everything else built in that the boot needs. */
export const INITRD_FILES: Readonly<Record<string, string>> = {
  'etc/initramfs-tools/conf.d/node': 'MODULES=list\n',
  'usr/share/initramfs-tools/modules.d/node': 'virtio_blk\n',
};

/** The guest's folder of a stack that uses the guest's installed programs (tools/stack/layout.ts). */
export const GUEST_STACK = '/opt/crid-stack';
export const HOST_ADDRESS = '10.0.2.2';
export const GUEST_NAME = 'node1';

const GUEST_ADDRESS = '10.0.2.15';
const MASKED = { link: '/dev/null' };
const units = 'etc/systemd/system';
const programs = [
  'bin/containerd',
  'bin/ctr',
  'bin/containerd-shim-runc-v2',
  'bin/crun',
  'bin/docker-registry',
  'sbin/runc',
];

/** All files that are added to the packages' own, by their path below `/`. */
export const guestFiles = (publicKey: string): Readonly<Record<string, GuestFile>> => ({
  'etc/hostname': `${GUEST_NAME}\n`,
  'etc/hosts': `127.0.0.1 localhost\n::1 localhost\n${GUEST_ADDRESS} ${GUEST_NAME}\n`,
  // Without a machine id the first boot would set up every unit again.
  'etc/machine-id': '5f3b1c0e9a7d4e62b8f0c1d2e3a49576\n',
  'etc/resolv.conf': '',
  'etc/fstab': '',
  'root/.ssh/authorized_keys': publicKey,
  'etc/modules-load.d/node.conf': 'overlay\nbr_netfilter\ndummy\nloop\n',
  'etc/sysctl.d/node.conf': 'net.ipv4.ip_forward = 1\nnet.bridge.bridge-nf-call-iptables = 1\n',
  ...network(),
  [`${units}/multi-user.target.wants/systemd-networkd.service`]: {
    link: '/usr/lib/systemd/system/systemd-networkd.service',
  },
  // Disabled units: they lengthen the boot, or change the clock in the middle of a test. /tmp stays on the disk.
  ...Object.fromEntries(
    [
      'tmp.mount',
      'docker-registry.service',
      'systemd-networkd-wait-online.service',
      'apt-daily.timer',
      'apt-daily-upgrade.timer',
      'dpkg-db-backup.timer',
      'e2scrub_all.timer',
      'fstrim.timer',
      'getty@tty1.service',
    ].map((name) => [`${units}/${name}`, MASKED]),
  ),
  ...quota(),
  'etc/containerd/config.toml': containerdConfig(),
  'etc/cni/net.d/10-node.conflist': `${JSON.stringify(CONFLIST, undefined, 2)}\n`,
  ...Object.fromEntries(
    programs.map((path) => [
      `${GUEST_STACK.slice(1)}/packages/bin/${path.replace(/.*\//, '')}`,
      { link: `/usr/${path}` },
    ]),
  ),
  [`${GUEST_STACK.slice(1)}/packages/root`]: { link: '/' },
});

/** AppArmor profiles that a runtime may use. Compiling the other hundred takes longer than the rest of the boot. */
export const KEPT_PROFILES = ['runc', 'crun', 'unprivileged_userns'];

/**
 * In QEMU's user network, the host has the address 10.0.2.2. The guest can reach nothing else: the default route leads
 * to a dummy device.
 */
function network(): Record<string, GuestFile> {
  const folder = 'etc/systemd/network';
  return {
    [`${folder}/10-eth0.network`]: `[Match]\nName=eth0\n\n[Network]\nAddress=${GUEST_ADDRESS}/24\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n`,
    [`${folder}/20-nowhere.netdev`]: '[NetDev]\nName=nowhere\nKind=dummy\n',
    [`${folder}/20-nowhere.network`]:
      '[Match]\nName=nowhere\n\n[Network]\nAddress=192.0.2.1/24\nLinkLocalAddressing=no\n\n[Route]\nGateway=192.0.2.254\n',
  };
}

/**
 * An empty slice that always has a CPU quota. The kernel patches its scheduler's code when the first group gets a quota
 * and when the last one loses it. QEMU before 8.1 can execute half-patched code, after which the guest's kernel panics
 * with `Oops: int3` (https://github.com/multipath-tcp/mptcp_net-next/issues/471): after 30 s of a loop that sets and
 * removes a quota. With this slice the loop runs to its end.
 */
const quota = (): Record<string, GuestFile> => ({
  [`${units}/quota.slice`]: '[Slice]\nCPUQuota=100%\n',
  [`${units}/multi-user.target.wants/quota.slice`]: { link: `/${units}/quota.slice` },
});

/**
 * The path in the image, below its root, of the containerd package's config.toml. The tests use another configuration.
 */
export const PACKAGED_CONFIG = 'usr/local/share/containerd/config.toml';

/**
 * containerd's configuration, with the systemd cgroup driver. containerd's CRI plugin and NRI are off unless `cri` and
 * `nri` are set. crid reads the same file.
 */
export const containerdConfig = ({ cri = false, nri = false } = {}): string => `version = 3
disabled_plugins = ${JSON.stringify([...(cri ? [] : ['io.containerd.grpc.v1.cri']), ...(nri ? [] : ['io.containerd.nri.v1.nri'])])}

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "/etc/cni/net.d"

${handler('runc', '/usr/sbin/runc')}
${handler('crun', '/usr/bin/crun')}
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "registry.k8s.io/pause:3.10"

[plugins."io.containerd.cri.v1.images".registry]
config_path = "/etc/containerd/certs.d"
`;

/**
 * Returns a drop-in by which the package's containerd.service runs the containerd of another folder. containerd looks
 * for its shim in PATH before its own folder.
 */
export const containerdDropIn = (bin: string): string => `[Service]
Environment=PATH=${bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=
ExecStart=${bin}/containerd
`;

const handler = (name: string, program: string): string => `
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.${name}]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.${name}.options]
BinaryName = "${program}"
SystemdCgroup = true
`;

const CONFLIST = {
  cniVersion: '1.0.0',
  name: 'node',
  plugins: [
    {
      type: 'bridge',
      bridge: 'cni0',
      isGateway: true,
      ipMasq: true,
      hairpinMode: true,
      ipam: { type: 'host-local', ranges: [[{ subnet: '10.88.0.0/16' }]], routes: [{ dst: '0.0.0.0/0' }] },
    },
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
};
