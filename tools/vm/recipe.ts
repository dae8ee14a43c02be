/** What the node consists of: Debian's own packages of the suite that the stack's come from. */
export const PACKAGES: readonly string[] = [
  'linux-image-cloud-amd64',
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
  // The runtime and what it works with.
  'containerd',
  'runc',
  'crun',
  'containernetworking-plugins',
  'docker-registry',
  'nodejs',
  // What a kubelet asks for beside them.
  'iproute2',
  'iptables',
  'nftables',
  'conntrack',
  'ethtool',
  'socat',
  // To look into what does not work.
  'strace',
];

/** A file of the guest: text, or the target of a link. */
export type GuestFile = string | { readonly link: string };

/** The initrd holds only the disk's driver: what else the boot needs is built into this kernel. */
export const INITRD_FILES: Readonly<Record<string, string>> = {
  'etc/initramfs-tools/conf.d/node': 'MODULES=list\n',
  'usr/share/initramfs-tools/modules.d/node': 'virtio_blk\n',
};

/** Where the guest keeps a stack's folder whose programs are its own (tools/stack/layout.ts). */
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

/** Everything that is laid over the packages' own files, by its path below `/`. */
export const guestFiles = (publicKey: string): Readonly<Record<string, GuestFile>> => ({
  'etc/hostname': `${GUEST_NAME}\n`,
  'etc/hosts': `127.0.0.1 localhost\n::1 localhost\n${GUEST_ADDRESS} ${GUEST_NAME}\n`,
  // Without one the first boot would set up every unit anew.
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
  // They only make the boot longer, or change the clock's meaning in the middle of a test. /tmp stays on the disk.
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

/** AppArmor profiles that a runtime may meet; to compile the hundred others takes longer than the rest of the boot. */
export const KEPT_PROFILES = ['runc', 'crun', 'unprivileged_userns'];

/** QEMU's user network has the host at 10.0.2.2. Nothing else may leave: the default route leads nowhere. */
function network(): Record<string, GuestFile> {
  const folder = 'etc/systemd/network';
  return {
    [`${folder}/10-eth0.network`]: `[Match]\nName=eth0\n\n[Network]\nAddress=${GUEST_ADDRESS}/24\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n`,
    [`${folder}/20-nowhere.netdev`]: '[NetDev]\nName=nowhere\nKind=dummy\n',
    [`${folder}/20-nowhere.network`]:
      '[Match]\nName=nowhere\n\n[Network]\nAddress=192.0.2.1/24\nLinkLocalAddressing=no\n\n[Route]\nGateway=192.0.2.254\n',
  };
}

/** Where the image keeps the config.toml of the containerd package, below its root: the tests have one of their own. */
export const PACKAGED_CONFIG = 'usr/local/share/containerd/config.toml';

/** containerd with the systemd cgroup driver; its own CRI plugin is off, as on a node that has moved to crid. */
export const containerdConfig = ({ cri = false } = {}): string => `version = 3
disabled_plugins = ${JSON.stringify([...(cri ? [] : ['io.containerd.grpc.v1.cri']), 'io.containerd.nri.v1.nri'])}

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
