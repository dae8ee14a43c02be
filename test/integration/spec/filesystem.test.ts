import { mkdir, mkdtemp, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after } from 'node:test';
import { MountPropagation, NamespaceMode } from '../../../generated/runtime/v1/api.js';
import { run } from '../../../tools/stack/exec.js';
import { startSuite } from '../rpc/suite.js';
import { context, testImage, testRules, type ContainerPart, type Rule, type Scene } from './rules.js';

/** This hook must run before the suite's own, which fails if a mount is left. */
const mountsMade: string[] = [];
after(async () => {
  for (const path of mountsMade.reverse()) await run('umount', ['-l', path]);
});
const suite = startSuite();

const folder = ({ suite: { stack } }: Scene): Promise<string> => mkdtemp(join(stack.dir, 'volume-'));
const mounted = (path: string): string => `grep " ${path} " /proc/self/mountinfo`;
type MountPart = NonNullable<ContainerPart['mounts']>[number];

/** Mounts a folder of the host, with a file in it, at /volume. */
const volume =
  (mount: Partial<MountPart>) =>
  async (scene: Scene): Promise<ContainerPart> => {
    const host_path = await folder(scene);
    await writeFile(join(host_path, 'file'), 'host');
    return { mounts: [{ container_path: '/volume', host_path, ...mount }] };
  };

/** The same, but the folder is a mount with this propagation. The mount is removed with the stack's folder. */
const propagated =
  (kind: 'shared' | 'slave' | 'private', propagation: MountPropagation) =>
  async (scene: Scene): Promise<ContainerPart> => {
    const host_path = await folder(scene);
    await run('mount', ['--bind', host_path, host_path]);
    await run('mount', ['--make-private', host_path]);
    if (kind !== 'private') await run('mount', ['--make-shared', host_path]);
    mountsMade.push(host_path);
    return {
      mounts: [{ container_path: '/volume', host_path, propagation }],
      linux: { security_context: { privileged: true } },
    };
  };
const rules: Rule[] = [
  { name: 'the root can be written', command: 'touch /new && echo written', expected: 'written' },
  {
    name: 'a read-only root',
    config: context({ readonly_rootfs: true }),
    command: 'touch /new',
    expected: /Read-only file system/,
  },
  {
    name: 'a mount is read and written',
    config: volume({}),
    command: 'cat /volume/file; touch /volume/new && echo written',
    expected: 'hostwritten',
  },
  {
    name: 'a mount that is read-only',
    config: volume({ readonly: true }),
    command: 'cat /volume/file; touch /volume/new',
    expected: /^host.*Read-only file system/s,
  },
  {
    name: 'a mount on a read-only root can be written',
    config: async (scene) => ({ ...(await volume({})(scene)), ...context({ readonly_rootfs: true }) }),
    command: 'touch /volume/new && echo written',
    expected: 'written',
  },
  {
    name: 'a missing source is made, as a directory',
    config: async (scene) => ({
      mounts: [{ container_path: '/made', host_path: join(await folder(scene), 'a', 'b') }],
    }),
    command: 'stat -c "%F %a" /made',
    expected: 'directory 755',
  },
  {
    name: 'a source that is a link mounts its target',
    config: async (scene) => {
      const dir = await folder(scene);
      await writeFile(join(dir, 'real'), 'behind the link');
      await symlink('real', join(dir, 'link'));
      return { mounts: [{ container_path: '/file', host_path: join(dir, 'link') }] };
    },
    command: 'cat /file',
    expected: 'behind the link',
  },
  {
    name: 'mounts are ordered by depth, whatever their order in the request',
    config: async (scene) => {
      const [outer, inner] = [await folder(scene), await folder(scene)];
      await mkdir(join(outer, 'inner'));
      await writeFile(join(inner, 'file'), 'inner');
      return {
        mounts: [
          { container_path: '/outer/inner', host_path: inner },
          { container_path: '/outer', host_path: outer },
        ],
      };
    },
    command: 'cat /outer/inner/file',
    expected: 'inner',
  },
  {
    name: 'a mount at /etc/hosts replaces the file of the pod',
    config: async (scene) => {
      const path = join(await folder(scene), 'hosts');
      await writeFile(path, '10.1.2.3 elsewhere\n');
      return { mounts: [{ container_path: '/etc/hosts', host_path: path }] };
    },
    command: 'cat /etc/hosts; grep -c " /etc/hosts " /proc/self/mountinfo',
    expected: '10.1.2.3 elsewhere\n1',
  },
  {
    name: 'propagation: private by default',
    config: volume({}),
    command: `${mounted('/volume')} | grep -vcE "shared:|master:"`,
    expected: '1',
  },
  {
    name: 'propagation: HOST_TO_CONTAINER',
    pod: 'privileged',
    config: propagated('shared', MountPropagation.PROPAGATION_HOST_TO_CONTAINER),
    command: `${mounted('/volume')} | grep -oE "shared|master"`,
    expected: 'master',
  },
  {
    name: 'propagation: BIDIRECTIONAL',
    pod: 'privileged',
    config: propagated('shared', MountPropagation.PROPAGATION_BIDIRECTIONAL),
    command: `${mounted('/volume')} | grep -oE "shared|master"`,
    expected: 'shared',
  },
  {
    name: 'recursive read-only: mounts below it are read-only too',
    config: async (scene) => {
      const host_path = await folder(scene);
      await mkdir(join(host_path, 'below'));
      await run('mount', ['-t', 'tmpfs', 'tmpfs', join(host_path, 'below')]);
      mountsMade.push(join(host_path, 'below'));
      return { mounts: [{ container_path: '/volume', host_path, readonly: true, recursive_read_only: true }] };
    },
    command: 'touch /volume/below/new',
    expected: /Read-only file system/,
  },
  {
    name: 'read-only alone does not change mounts below',
    config: async (scene) => {
      const host_path = await folder(scene);
      await mkdir(join(host_path, 'below'));
      await run('mount', ['-t', 'tmpfs', 'tmpfs', join(host_path, 'below')]);
      mountsMade.push(join(host_path, 'below'));
      return { mounts: [{ container_path: '/volume', host_path, readonly: true }] };
    },
    command: 'touch /volume/below/new && echo written',
    expected: 'written',
  },
  {
    name: 'masked paths',
    config: context({ masked_paths: ['/proc/version', '/sys/kernel'] }),
    command: 'wc -c < /proc/version; ls /sys/kernel | wc -l',
    expected: '0\n0',
  },
  { name: 'nothing is masked unless asked', command: 'head -c 5 /proc/version', expected: 'Linux' },
  {
    name: 'read-only paths',
    config: context({ readonly_paths: ['/proc/sys'] }),
    command: `${mounted('/proc/sys')} | grep -c " ro,"`,
    expected: '1',
  },
  { name: '/sys is read-only', command: 'grep " /sys " /proc/self/mounts | grep -o " ro,"', expected: 'ro,' },
  {
    name: 'cgroups are read-only',
    command: 'grep " /sys/fs/cgroup" /proc/self/mounts | grep -v "^tmpfs" | cut -d" " -f4 | cut -c1-3 | sort -u',
    expected: 'ro,',
  },
  {
    name: '/dev/shm is the pod’s, of 64 MiB',
    command: 'grep " /dev/shm " /proc/self/mounts | grep -o size=[0-9]*k; touch /dev/shm/x && echo written',
    expected: 'size=65536k\nwritten',
  },
  {
    name: '/dev/shm is the node’s in the node’s IPC namespace',
    pod: 'node ipc',
    config: context({ namespace_options: { ipc: NamespaceMode.NODE } }),
    command: 'grep " /dev/shm " /proc/self/mounts | grep -c size=65536k',
    expected: '0',
  },
  {
    name: 'hostname of the pod: name, file and environment',
    pod: 'named',
    command: 'hostname; cat /etc/hostname; echo $HOSTNAME',
    expected: 'of-the-pod\nof-the-pod\nof-the-pod',
  },
  {
    name: 'resolv.conf of the pod',
    pod: 'named',
    command: 'cat /etc/resolv.conf',
    expected: 'search a.example b.example\nnameserver 10.9.8.7\noptions ndots:5',
  },
  {
    name: 'resolv.conf with two options in one entry, and the root as search domain',
    pod: 'free options',
    command: 'cat /etc/resolv.conf',
    expected: 'search .\nnameserver 10.9.8.7\noptions timeout:1 attempts:3 edns0',
  },
  {
    name: 'paths with "..": resolved on the host for a source, inside the container for a target and the directory',
    config: async ({ suite: { stack } }) => {
      const folder = await mkdtemp(join(stack.dir, 'dots-'));
      await mkdir(join(folder, 'elsewhere', 'below'), { recursive: true });
      await writeFile(join(folder, 'elsewhere', 'file'), 'by the link\n');
      await symlink('elsewhere/below', join(folder, 'link'));
      return {
        working_dir: '/usr/../tmp',
        mounts: [
          // The kernel resolves `link/..` to the parent of the link's target, not of the link.
          { container_path: '/srv/../dotted', host_path: `${folder}/link/..` },
          { container_path: '/../../../confined', host_path: folder },
          { container_path: 'relative', host_path: folder },
        ],
        devices: [{ host_path: '/dev/../dev/null', container_path: '/dev/../dev/dotted', permissions: 'rw' }],
      };
    },
    command: 'pwd; cat /dotted/file; ls /confined /relative; ls /dev/dotted',
    expected: [
      ...[
        '/tmp',
        'by the link',
        '/confined:',
        'elsewhere',
        'link',
        '',
        '/relative:',
        'elsewhere',
        'link',
        '/dev/dotted',
      ],
    ].join('\n'),
  },
  {
    name: 'resolv.conf can be written where the root can',
    pod: 'named',
    command: `${mounted('/etc/resolv.conf')} | grep -c " rw,"`,
    expected: '1',
  },
  {
    name: 'resolv.conf is read-only where the root is',
    pod: 'named',
    config: context({ readonly_rootfs: true }),
    command: `${mounted('/etc/resolv.conf')} | grep -c " ro,"`,
    expected: '1',
  },
  { name: 'a terminal has TERM', config: { tty: true }, command: 'echo $TERM', expected: 'xterm' },
  {
    name: 'a PATH if the image has none, and the last of equal names',
    config: {
      envs: [
        { key: 'A', value: Buffer.from('1') },
        { key: 'A', value: Buffer.from('2') },
      ],
    },
    command: 'echo $A; echo $PATH',
    expected: /^2\n\/usr\/local\/sbin:\/usr\/local\/bin/,
  },
  {
    name: 'the working directory is made',
    config: { working_dir: '/made/here' },
    command: 'pwd',
    expected: '/made/here',
  },
  {
    name: 'a VOLUME of the image has its content, with owners and modes',
    config: { image: testImage('volumes') },
    command:
      'stat -c "%u:%g %a %n" /data /data/file /empty; cat /data/link; grep -cE " /(data|empty) " /proc/self/mountinfo',
    expected: '33:100 750 /data\n33:100 640 /data/file\n0:0 1777 /empty\nfrom the image\n2',
  },
  {
    name: 'a VOLUME has the FIFOs and device nodes of the image',
    config: { image: testImage('volumes') },
    command: 'stat -c "%F %u:%g %a %t:%T" /data/null /data/pipe',
    expected: 'character special file 7:0 666 1:3\nfifo 33:100 622 0:0',
  },
  {
    // The container is removed after the command, which fails if its VOLUME cannot be removed.
    name: 'a VOLUME with a tree deeper than PATH_MAX is removed with its container',
    config: { image: testImage('volumes') },
    command: `cd /data && mkdir deep && n=$(printf '%0200d' 0) &&
      for i in $(seq 40); do mkdir top && mv deep top/$n && mv top deep || exit 1; done; echo made`,
    expected: 'made',
  },
  {
    name: 'a VOLUME that the request mounts over is not copied',
    config: async (scene) => ({
      image: testImage('volumes'),
      mounts: [{ container_path: '/data', host_path: await folder(scene) }],
    }),
    command: 'ls -A /data | wc -l',
    expected: '0',
  },
  {
    name: 'an image as a volume',
    config: { mounts: [{ container_path: '/image', image: testImage('volumes'), readonly: true }] },
    command: 'cat /image/data/file; touch /image/new',
    expected: /^from the image\n.*Read-only file system/,
  },
  {
    name: 'a directory of an image as a volume',
    config: {
      mounts: [{ container_path: '/image', image: testImage('volumes'), image_sub_path: 'data', readonly: true }],
    },
    command: 'ls /image',
    expected: 'file\nlink\nnull\npipe',
  },
  {
    name: 'an image of many layers as a volume',
    config: { mounts: [{ container_path: '/image', image: testImage('many-layers'), readonly: true }] },
    command: 'ls /image | grep -c layer-',
    expected: '12',
  },
];

testRules(suite, rules, {
  privileged: { linux: { security_context: { privileged: true } } },
  'node ipc': { linux: { security_context: { namespace_options: { ipc: NamespaceMode.NODE } } } },
  named: {
    hostname: 'of-the-pod',
    dns_config: { servers: ['10.9.8.7'], searches: ['a.example', 'b.example'], options: ['ndots:5'] },
  },
  'free options': {
    dns_config: { servers: ['10.9.8.7'], searches: ['.'], options: ['timeout:1 attempts:3', 'edns0'] },
  },
});
