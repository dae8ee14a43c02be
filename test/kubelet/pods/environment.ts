import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { it } from 'node:test';
import { NODE } from '../../harness/kubelet.js';
import { STAY } from '../manifest.js';
import type { KubeletSuite } from '../suite.js';

const field = (name: string, fieldPath: string): object => ({ name, valueFrom: { fieldRef: { fieldPath } } });
const resource = (name: string, what: string): object => ({
  name,
  valueFrom: { resourceFieldRef: { resource: what } },
});
const lines = (text: string): string[] => text.split('\n').filter(Boolean);

/** Tests of the environment of containers: variables, files, limits. */
export function environmentTests(suite: KubeletSuite): void {
  it('gives a container facts of its pod, by variables and by files', async () => {
    const items = ['name', 'labels', 'annotations'].map((path) => ({
      path,
      fieldRef: { fieldPath: `metadata.${path}` },
    }));
    const pod = await suite.pod('downward', {
      metadata: { labels: { app: 'web' }, annotations: { note: 'of the pod' } },
      volumes: [{ name: 'files', downwardAPI: { items } }],
      containers: [
        {
          name: 'main',
          env: [
            { name: 'PLAIN', value: 'plain' },
            { name: 'COMPOSED', value: 'so $(PLAIN)' },
            field('NAME', 'metadata.name'),
            field('NAMESPACE', 'metadata.namespace'),
            field('LABEL', "metadata.labels['app']"),
            field('NODE', 'spec.nodeName'),
            field('IP', 'status.podIP'),
            resource('CPU', 'limits.cpu'),
            resource('MEMORY', 'limits.memory'),
          ],
          resources: { limits: { cpu: '2', memory: '64Mi' }, requests: { cpu: '10m', memory: '16Mi' } },
          volumeMounts: [{ name: 'files', mountPath: '/files' }],
        },
      ],
    });
    const { podIP } = await pod.ready();
    const variables = await pod.run('main', 'echo "$PLAIN|$COMPOSED|$NAME|$NAMESPACE|$LABEL|$NODE|$IP|$CPU|$MEMORY"');
    const expected = ['plain', 'so plain', pod.name, 'default', 'web', NODE, podIP, '2', String(64 * 1024 * 1024)];
    assert.equal(variables, `${expected.join('|')}\n`);
    const files = await pod.run('main', 'cat /files/name; echo; cat /files/labels; echo; grep note /files/annotations');
    assert.deepEqual(lines(files), [pod.name, 'app="web"', 'note="of the pod"']);
  });

  it('gives containers of a pod a shared directory, on disk or in memory', async () => {
    const volumeMounts = [
      { name: 'disk', mountPath: '/disk' },
      { name: 'memory', mountPath: '/memory' },
    ];
    const pod = await suite.pod('empty-dir', {
      volumes: [
        { name: 'disk', emptyDir: {} },
        { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '8Mi' } },
      ],
      containers: [
        { name: 'writer', volumeMounts, script: `echo one > /disk/file; echo two > /memory/file; ${STAY}` },
        { name: 'reader', volumeMounts },
      ],
    });
    await pod.ready();
    const found = await pod.run(
      'reader',
      'while ! cat /disk/file /memory/file 2>/dev/null; do sleep 0.1; done; grep " /memory " /proc/mounts',
    );
    const [one, two, mount = ''] = lines(found).slice(-3);
    assert.deepEqual([one, two], ['one', 'two']);
    assert.match(mount, /^tmpfs \/memory tmpfs rw,.*size=8192k/);
    await assert.rejects(pod.run('reader', 'dd if=/dev/zero of=/memory/too-much bs=1M count=9'), /No space left/);
  });

  it('mounts a directory of the host, parts of it, and read-only', async () => {
    const pod = await suite.pod('host-path', {
      volumes: [
        { name: 'made', hostPath: { path: `${suite.stack.dir}/made`, type: 'DirectoryOrCreate' } },
        { name: 'hostname', hostPath: { path: '/etc/hostname', type: 'File' } },
      ],
      containers: [
        {
          name: 'main',
          volumeMounts: [
            { name: 'made', mountPath: '/made', subPath: 'below' },
            { name: 'made', mountPath: '/read-only', readOnly: true },
            { name: 'hostname', mountPath: '/host-name' },
          ],
        },
      ],
    });
    await pod.ready();
    await pod.run('main', 'echo in > /made/file');
    assert.equal(await readFile(`${suite.stack.dir}/made/below/file`, 'utf8'), 'in\n');
    assert.equal(await pod.run('main', 'cat /read-only/below/file'), 'in\n');
    await assert.rejects(pod.run('main', 'touch /read-only/file'), /Read-only file system/);
    assert.equal(await pod.run('main', 'cat /host-name'), await readFile('/etc/hostname', 'utf8'));
  });

  it('gives a pod names, aliases and a resolver', async () => {
    const pod = await suite.pod('names', {
      hostname: 'custom',
      hostAliases: [{ ip: '192.0.2.77', hostnames: ['alias.test'] }],
      dnsPolicy: 'None',
      dnsConfig: { nameservers: ['192.0.2.53'], searches: ['svc.test'], options: [{ name: 'ndots', value: '3' }] },
      containers: [{ name: 'main' }],
    });
    const { podIP } = await pod.ready();
    assert.equal(await pod.run('main', 'hostname'), 'custom\n');
    const hosts = await pod.run('main', 'cat /etc/hosts');
    assert.match(hosts, /^192\.0\.2\.77\s+alias\.test$/m);
    assert.match(hosts, new RegExp(`^${podIP}\\s+custom$`, 'm'));
    const resolver = lines(await pod.run('main', 'cat /etc/resolv.conf'));
    assert.deepEqual(resolver, ['search svc.test', 'nameserver 192.0.2.53', 'options ndots:3']);
  });

  it('limits a container, which sees its limits', async () => {
    const limits = { cpu: '250m', memory: '48Mi' };
    const pod = await suite.pod('limits', {
      containers: [{ name: 'main', resources: { limits, requests: { cpu: '100m', memory: '24Mi' } } }],
    });
    await pod.ready();
    const read = (files: string): string => `cd /sys/fs/cgroup; cat ${files}`;
    const v2 = await pod.run('main', 'test -e /sys/fs/cgroup/cgroup.controllers && echo yes || echo no');
    const found =
      v2 === 'yes\n'
        ? await pod.run('main', `${read('memory.max cpu.max')} | tr " " "\\n"`)
        : await pod.run('main', read('memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us'));
    assert.deepEqual(lines(found), [String(48 * 1024 * 1024), '25000', '100000']);
  });
}
