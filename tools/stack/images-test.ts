import { layer, type Image, type ImageConfig, type Layer } from './image-push.js';
import { image, SHELL, type Parts } from './image-parts.js';
import type { TarEntry } from './tar.js';

/** Images of this project's own tests: `crid-test/NAME:latest`, busybox with one peculiarity each. */
export function testImages({ base }: Parts): Image[] {
  const odd = (name: string, config: ImageConfig, ...layers: Layer[]): Image =>
    image(`crid-test/${name}`, ['latest'], [base.layer, ...layers], { ...SHELL, ...config });
  const people = base.withUsers(
    'app:x:1000:2000::/home/app:/bin/sh\n',
    'app:x:2000:\nfriends:x:3000:app,www-data\nothers:x:3001:nobody\n',
  );
  return [
    ...users().map(([name, User]) => odd(`user-${name}`, { User })),
    image('crid-test/groups', ['latest'], [people], { ...SHELL, User: 'app' }),
    ...labels().map(([name, Labels]) => odd(`label-${name}`, { Labels })),
    image('crid-test/no-command', ['latest'], [base.layer], {}),
    odd('entrypoint', { Entrypoint: ['/bin/echo', 'entry'], Cmd: ['command'] }),
    odd('env', { Env: ['FROM_IMAGE=image', 'OVERRIDDEN=image', 'EMPTY=', 'SPACES=a b  c'] }),
    odd('working-dir', { WorkingDir: '/made/by/the/runtime' }),
    odd('stop-signal', { StopSignal: 'SIGUSR1' }),
    odd('volumes', { Volumes: { '/data': {}, '/empty': {} } }, layer(volumeFiles())),
    odd('volume-through-link', { Volumes: { '/escape': {} } }, layer([link('escape', '/../../../../etc')])),
    odd('passwd-through-link', { User: 'root' }, layer([link('etc/passwd', '../../../../../../etc/passwd')])),
    odd('working-dir-through-link', { WorkingDir: '/escape/made' }, layer([link('escape', '../../../../../../tmp')])),
    odd('many-layers', {}, ...Array.from({ length: 12 }, (_, index) => fileLayer(`layer-${index}`, 16))),
    // Not compressible, so that a pull takes long enough to be interrupted.
    odd('large', {}, fileLayer('large', 24 * 1024 * 1024)),
  ];
}

const users = (): [string, string][] => [
  ['name', 'www-data'],
  ['name-and-group', 'www-data:users'],
  ['name-and-gid', 'www-data:4321'],
  ['uid', '1234'],
  ['uid-of-name', '33'],
  ['uid-and-group', '1234:users'],
  ['uid-and-gid', '1234:4321'],
  ['empty-gid', '1234:'],
  ['unknown', 'no-such-user'],
  ['unknown-group', '1234:no-such-group'],
  ['above-int32', '2147483648'],
  ['wraps-to-root', '4294967296'],
  ['gid-wraps-to-root', '1234:4294967296'],
  ['negative', '-1'],
];

const labels = (): [string, Record<string, string>][] => [
  [
    'reserved',
    {
      'io.cri-containerd.kind': 'sandbox',
      'io.kubernetes.pod.uid': 'from-the-image',
      'containerd.io/gc.root': 'from-the-image',
      'containerd.io/restart.status': 'running',
      'containerd.io/restart.loguri': 'binary:///bin/touch?/tmp/crid-owned=',
      harmless: 'yes',
    },
  ],
  // containerd refuses a label whose key and value are longer than 4096 bytes together.
  ['too-long', { long: 'x'.repeat(5000) }],
  ['odd', { '': 'no key', 'a b': 'spaces', ünïcode: '☃', 'new\nline': 'new\nline', empty: '' }],
];

const volumeFiles = (): TarEntry[] => [
  { name: 'data', mode: 0o750, uid: 33, gid: 100 },
  { name: 'data/file', mode: 0o640, uid: 33, gid: 100, body: Buffer.from('from the image\n') },
  { name: 'data/link', body: { symbolic: 'file' } },
  { name: 'data/null', mode: 0o666, uid: 7, body: { device: [1, 3] } },
  { name: 'data/pipe', mode: 0o622, uid: 33, gid: 100, body: 'fifo' },
  { name: 'empty', mode: 0o1777 },
];

const link = (name: string, target: string): TarEntry => ({ name, body: { symbolic: target } });

function fileLayer(name: string, bytes: number): Layer {
  return layer([{ name, body: noise(bytes) }]);
}

/** Bytes that look random and are the same each time (xorshift32, Marsaglia 2003). */
function noise(bytes: number): Buffer {
  const words = new Uint32Array(Math.ceil(bytes / 4));
  let state = 0x9e3779b9;
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
  return Buffer.from(words.buffer, 0, bytes);
}
