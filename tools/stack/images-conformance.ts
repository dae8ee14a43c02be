import { layer, type Image, type ImageConfig, type Layer } from './image-push.js';
import { image, PATH, SHELL, type Parts } from './image-parts.js';

/** The repositories and tags that critest pulls, below any registry. */
export function conformanceImages({ base, pause, euid, web }: Parts): Image[] {
  const server = (name: string): Layer => layer([{ name: `usr/sbin/${name}`, mode: 0o755, body: web }]);
  const serving = (name: string, port: number): ImageConfig => ({
    Entrypoint: [`/usr/sbin/${name}`, String(port)],
    Env: [PATH],
    ExposedPorts: { [`${port}/tcp`]: {} },
  });
  const e2e = 'e2e-test-images';
  return [
    ...pauses(pause),
    image(`${e2e}/busybox`, ['1.29-2', '1.29-4', '1.37.0-1'], [base.layer], SHELL),
    image(
      'library/busybox',
      ['latest', '1', '1-glibc', '1-musl', '1-uclibc', '1.35.0-glibc', '1.36', '1.37.0'],
      [base.layer],
      SHELL,
    ),
    image(`${e2e}/nonewprivs`, ['1.3'], [base.layer, layer([{ name: 'usr/bin/nnp', mode: 0o4755, body: euid }])], {
      Entrypoint: ['/usr/bin/nnp'],
      Env: [PATH],
    }),
    image(`${e2e}/nginx`, ['1.14-2', '1.14-4'], [base.layer, server('nginx')], serving('nginx', 80)),
    image(`${e2e}/httpd`, ['2.4.38-4', '2.4.39-4'], [base.layer, server('httpd')], serving('httpd', 80)),
    image(`${STAGING}/hostnet-nginx-amd64`, ['latest'], [base.layer, server('nginx')], serving('nginx', 12003)),
    ...staging(base.layer),
    image(
      `${STAGING}/test-image-predefined-group`,
      ['latest'],
      [
        base.withUsers(
          'default-user:x:1000:1000::/home/default-user:/bin/sh\n',
          'default-user:x:1000:\ngroup-defined-in-image:x:50000:default-user\n',
        ),
      ],
      { ...SHELL, User: '1000' },
    ),
  ];
}

const STAGING = 'k8s-staging-cri-tools';

/** As upstream's, an image of its own for each tag. */
function pauses(pause: Buffer): Image[] {
  const only = layer([{ name: 'pause', mode: 0o755, body: pause }]);
  return ['3.8', '3.9', '3.10', '3.10.1', '3.10.2', '3.11'].map((tag) =>
    image('pause', [tag], [only], {
      Entrypoint: ['/pause'],
      Env: [PATH],
      User: '65535:65535',
      WorkingDir: '/',
      Labels: { version: tag },
    }),
  );
}

/** Images that differ by one file, some with a user. */
function staging(base: Layer): Image[] {
  const marked = (name: string, tags: readonly string[], mark: string, config: ImageConfig = {}): Image =>
    image(
      `${STAGING}/test-image-${name}`,
      tags,
      [base, layer([{ name: `mark-${mark}`, body: Buffer.from(`${mark}\n`) }])],
      { ...SHELL, ...config },
    );
  return [
    ...['latest', 'digest', '1', '2', '3'].map((name) => marked(name, ['latest'], name)),
    marked('tag', ['test'], 'tag-test'),
    marked('tag', ['all'], 'tag-all'),
    marked('tags', ['1', '2', '3'], 'tags'),
    marked('user-uid', ['latest'], 'user-uid', { User: '1002' }),
    marked('user-username', ['latest'], 'user-username', { User: 'www-data' }),
    marked('user-uid-group', ['latest'], 'user-uid-group', { User: '1003:users' }),
    marked('user-username-group', ['latest'], 'user-username-group', { User: 'www-data:100' }),
  ];
}
