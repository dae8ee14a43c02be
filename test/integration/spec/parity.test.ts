import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createClientFactory, Metadata } from 'nice-grpc';
import { ContainersDefinition } from '../../../generated/containerd/services/containers/v1/containers.js';
import { cgroupParent, SYSTEMD_CGROUPS } from '../../../tools/stack/cgroup-driver.js';
import { openChannel, type CriClient } from '../../harness/cri-client.js';
import { pullImage, runPod } from '../../harness/pod.js';
import { IS_PINNED } from '../../harness/sandboxer.js';
import { CORPUS, type Sample } from './corpus.js';
import { startBeside } from './own-stack.js';
import { differences } from './spec-differences.js';

const NAMESPACE = 'crid-parity';
const beside = startBeside(() => ({ config: { crid: { namespace: NAMESPACE } } }));

/** For a node whose systemd mounts cgroup2 with this option. */
const NEW_CGROUP_OPTIONS: typeof KNOWN = readFileSync('/proc/self/mounts', 'utf8').includes('memory_hugetlb_accounting')
  ? [
      [
        /^container mounts\."\/sys\/fs\/cgroup"\.options\.memory_hugetlb_accounting: 1 != absent/,
        'the plugin takes from the node an option of cgroup2 that is newer than this containerd',
      ],
    ]
  : [];

/** Differences from the plugin of an older containerd only, which may lack what the newest has. */
const OF_OLDER: readonly [difference: RegExp, reason: string][] = [
  [
    /^(pause|container) linux\.seccomp\.syscalls\.(\w+at|\w+_self_attr|lsm_list_modules|listmount|statmount|mseal|uretprobe) null/,
    'system calls that are newer than this containerd',
  ],
  [
    /^(pause|container) linux\.seccomp\.syscalls\.socket \[/,
    'socket families are a list, without AF_ALG, as in later versions of containerd',
  ],
];

/**
 * The known differences of crid's specs from those of containerd's own CRI plugin, with reasons (docs/spec.md,
 * "Differences").
 */
const KNOWN: readonly [difference: RegExp, reason: string][] = [
  [/^(pause|container) linux\.seccomp\.syscalls\.clone \[/, 'a zero that Go leaves out'],
  [/^(pause|container) ociVersion: /, 'the version of the spec that containerd was built with'],
  [/^pause process\.user\.additionalGids\./, 'the supplemental groups of the pod are those of its pause process too'],
  [
    /^container mounts\.[^:]*\.source: ".*\/volumes\/\d+" !=/,
    'directories of VOLUMEs are counted; the plugin names them at random',
  ],
  ...NEW_CGROUP_OPTIONS,
];

const skip = IS_PINNED && 'the plugin’s pods have a pause container';

test(
  'the specs of the same pods, created by crid and by containerd’s CRI plugin, field by field',
  { skip },
  async (t) => {
    const folder = await mkdtemp(join(beside.stack.dir, 'data-'));
    const samples = CORPUS(folder);
    assert.ok(samples.length >= 25);
    const seen = new Set<RegExp>();
    for (const sample of samples) {
      await t.test(sample.name, async () => {
        const [ours, theirs] = [
          await specsOf(beside.crid, NAMESPACE, sample),
          await specsOf(beside.plugin, 'k8s.io', sample),
        ];
        const found = [
          ...differences(ours.sandbox, theirs.sandbox).map((line) => `pause ${line}`),
          ...differences(ours.container, theirs.container).map((line) => `container ${line}`),
        ];
        const unknown = found.filter((line) => {
          const known = [...KNOWN, ...OF_OLDER].filter(([pattern]) => pattern.test(line));
          for (const [pattern] of known) seen.add(pattern);
          return known.length === 0;
        });
        assert.deepEqual(unknown, []);
      });
    }
    const gone = KNOWN.filter(([pattern]) => !seen.has(pattern)).map(([pattern]) => String(pattern));
    assert.deepEqual(gone, [], 'differences that there are no more');
  },
);

interface Specs {
  readonly sandbox: unknown;
  readonly container: unknown;
}

/**
 * Returns the specs of a pod and a container in containerd. Values that always differ (ids, pids, folders) are replaced
 * by their names.
 */
async function specsOf(cri: CriClient, namespace: string, { pod: part, container }: Sample): Promise<Specs> {
  const metadata = { name: 'parity', namespace: 'test', uid: 'uid', attempt: 0 };
  const log_directory = '/var/log/crid-parity';
  if (container?.image?.image) await pullImage(cri, container.image.image);
  // With systemd, the plugin creates no pod without a cgroup parent.
  const linux = SYSTEMD_CGROUPS ? { cgroup_parent: cgroupParent('crid-test-parity'), ...part?.linux } : part?.linux;
  const pod = await runPod(cri, beside.stack, { ...part, ...(linux && { linux }), metadata, log_directory });
  try {
    const id = await pod.create({ name: 'container', ...container });
    const { info } = await cri.runtime.podSandboxStatus({ pod_sandbox_id: pod.id, verbose: true });
    const { pid, sandboxMetadata } = JSON.parse(info['info'] ?? '{}') as {
      pid: number;
      sandboxMetadata: { Metadata?: { NetNSPath: string }; NetNSPath?: string };
    };
    const netns = sandboxMetadata.Metadata?.NetNSPath ?? sandboxMetadata.NetNSPath;
    const named: [string, string][] = [
      [id, 'CONTAINER'],
      [pod.id, 'POD'],
      [`/proc/${pid}/`, '/proc/PAUSE/'],
      [`io.crid.${NAMESPACE}`, 'CRI'],
      ['io.containerd.grpc.v1.cri', 'CRI'],
      [`/${namespace}/`, '/NAMESPACE/'],
      ...(netns ? [[netns, 'NETNS'] as [string, string]] : []),
    ];
    const [sandbox, made] = await Promise.all([storedSpec(namespace, pod.id), storedSpec(namespace, id)]);
    const plain = (text: string): unknown =>
      JSON.parse(named.reduce((all, [from, to]) => all.replaceAll(from, to), text));
    return { sandbox: plain(sandbox), container: plain(made) };
  } finally {
    await pod.remove();
  }
}

async function storedSpec(namespace: string, id: string): Promise<string> {
  const channel = openChannel(beside.stack.containerd.socket);
  try {
    const options = { '*': { metadata: Metadata({ 'containerd-namespace': namespace }) } };
    const { container } = await createClientFactory().create(ContainersDefinition, channel, options).get({ id });
    return Buffer.from(container?.spec?.value ?? '').toString();
  } finally {
    channel.close();
  }
}
