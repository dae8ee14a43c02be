import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { SecurityProfile_ProfileType as Profile } from '../../../generated/runtime/v1/api.js';
import { connectPlugin, type ConnectedPlugin, type CreateAnswer } from '../../../src/nri-plugin/index.js';
import { goModule, usesPackagedContainerd } from '../../../tools/stack/go-modules.js';
import { criClient, type CriClient } from '../../harness/cri-client.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { pullImage, removeAllPods, runPod, type Container } from '../../harness/pod.js';
import { startStack, type Stack } from '../../harness/test-stack.js';
import { failureOf } from '../rpc/suite.js';

/** The same adjustments at containerd's own CRI plugin and at crid, which read the same table of the validator. */

const TABLE = `
[plugins."io.containerd.nri.v1.nri".default_validator]
enable = true
reject_oci_hook_adjustment = true
reject_runtime_default_seccomp_adjustment = true
reject_unconfined_seccomp_adjustment = true
reject_custom_seccomp_adjustment = true
reject_namespace_adjustment = true
reject_sysctl_adjustment = true
required_plugins = ["adjuster", "90-needed"]
tolerate_missing_plugins_annotation = "tolerate.example"
`;
const REQUIRED = 'required-plugins.noderesource.dev';
const TOLERATE = 'tolerate.example';

type Adjust = NonNullable<CreateAnswer['adjust']>;

interface Case {
  readonly name: string;
  readonly adjust?: Adjust;
  readonly pod?: Record<string, string>;
  readonly container?: Container;
  /** The words that both errors have; undefined if both create the container. */
  readonly rejected?: readonly RegExp[];
  /** Whether the plugin 90-needed is registered; by default it is. */
  readonly lacks?: boolean;
}

const seccomp: Adjust = { linux: { seccomp_policy: { default_action: 'SCMP_ACT_ALLOW' } } };
const confined = (profile_type: Profile, localhost_ref = ''): Container => ({
  linux: { security_context: { seccomp: { profile_type, localhost_ref } } },
});
let profile = '';

const CASES: readonly (() => Case)[] = [
  () => ({ name: 'no adjustment' }),
  () => ({ name: 'an adjustment without a rule', adjust: { env: [{ key: 'NRI', value: 'yes' }] } }),
  () => ({
    name: 'an OCI hook',
    adjust: { hooks: { create_runtime: [{ path: '/bin/true', args: ['true'] }] } },
    rejected: [/10-adjuster/, /hook/i],
  }),
  () => ({
    name: 'a seccomp policy over RuntimeDefault',
    adjust: seccomp,
    container: confined(Profile.RuntimeDefault),
    rejected: [/10-adjuster/, /runtime default seccomp policy/],
  }),
  () => ({
    name: 'a seccomp policy over Unconfined',
    adjust: seccomp,
    container: confined(Profile.Unconfined),
    rejected: [/10-adjuster/, /unconfined seccomp policy/],
  }),
  () => ({
    name: 'a seccomp policy over a profile of the node',
    adjust: seccomp,
    container: confined(Profile.Localhost, profile),
    rejected: [/10-adjuster/, /custom seccomp policy/],
  }),
  () => ({
    name: 'a namespace',
    adjust: { linux: { namespaces: [{ type: 'cgroup' }] } },
    rejected: [/10-adjuster/, /namespace/, /cgroup/],
  }),
  () => ({
    name: 'a sysctl',
    adjust: { linux: { sysctl: { 'net.ipv4.ip_unprivileged_port_start': '1000' } } },
    rejected: [/10-adjuster/, /sysctl/],
  }),
  () => ({ name: 'a plugin that the pod requires and has', pod: { [REQUIRED]: '["10-adjuster"]' } }),
  () => ({
    name: 'a plugin that the pod requires and lacks',
    pod: { [`${REQUIRED}/pod`]: '[absent]' },
    rejected: [/absent/, /required plugin/],
  }),
  () => ({
    name: 'a plugin that only another container requires',
    pod: { [`${REQUIRED}/container.other`]: '[absent]' },
  }),
  () => ({
    name: 'an annotation that is no list',
    pod: { [REQUIRED]: 'a: [' },
    rejected: [/required-plugins\.noderesource\.dev/, /annotation/],
  }),
  () => ({
    name: 'a plugin that the node requires and lacks',
    lacks: true,
    rejected: [/90-needed/, /required plugin/],
  }),
  () => ({ name: 'a missing plugin that the pod tolerates', lacks: true, pod: { [TOLERATE]: 'true' } }),
  () => ({
    name: 'a missing plugin that the pod does not tolerate',
    lacks: true,
    pod: { [TOLERATE]: '0' },
    rejected: [/90-needed/, /required plugin/],
  }),
  () => ({
    name: 'a toleration that is no truth value',
    lacks: true,
    pod: { [TOLERATE]: 'maybe' },
    rejected: [/tolerate\.example/, /annotation/],
  }),
];

// NRI has the validator since v0.10; containerd 2.1 has v0.8.
const isOld = !usesPackagedContainerd() && /^v2\.[01]\./.test(goModule('containerd').version);
const skip = isOld || usesPackagedContainerd() ? 'this containerd has no default_validator' : false;

describe("the built-in validator beside that of containerd's CRI plugin", { skip, timeout: 300_000 }, () => {
  let stack: Stack;
  let crid: Crid;
  let reference: CriClient;
  const adjusters: ConnectedPlugin[] = [];
  let adjust: Adjust | undefined;

  /** Connects the same plugin to both servers. */
  const joinBoth = (name: string, index: string, createContainer: () => CreateAnswer | undefined) =>
    Promise.all(
      [stack.containerd.nriSocket, crid.nriSocket].map((socketPath) =>
        connectPlugin({ createContainer }, { name, index, socketPath }),
      ),
    );

  before(async () => {
    stack = await startStack({ cri: true, extraToml: TABLE });
    profile = join(stack.dir, 'profile.json');
    await writeFile(profile, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW' }));
    reference = criClient(stack.containerd.socket);
    crid = await startCrid(stack, { config: { crid: { namespace: 'nri-validator' } } });
    await Promise.all([pullImage(reference), pullImage(crid)]);
    adjusters.push(...(await joinBoth('adjuster', '10', () => adjust && { adjust })));
  });
  after(async () => {
    for (const plugin of adjusters) await plugin.close();
    await removeAllPods(crid);
    await crid.stop();
    crid.close();
    await removeAllPods(reference);
    reference.close();
    await stack.dispose();
  });

  /** Returns the error of the create, or undefined. */
  const outcome = async (cri: CriClient, { pod: annotations, container }: Case) => {
    const pod = await runPod(cri, stack, annotations ? { annotations } : {});
    const creating = pod.create({ ...container, name: 'app' });
    const isCreated = await creating.then(
      () => true,
      () => false,
    );
    const error = isCreated ? undefined : await failureOf(creating);
    await pod.remove();
    return error;
  };

  for (const make of CASES) {
    test(`${make().name}: both create the container, or reject it for the same reason`, async () => {
      const one = make();
      const needed = one.lacks ? [] : await joinBoth('needed', '90', () => undefined);
      try {
        adjust = one.adjust;
        const ours = await outcome(crid, one);
        const theirs = await outcome(reference, one);
        const missing = (error: typeof ours): RegExp[] =>
          (one.rejected ?? []).filter((words) => !words.test(error?.message ?? ''));
        assert.deepEqual(
          { ours: [ours?.code, missing(ours)], theirs: [theirs?.code, missing(theirs)] },
          one.rejected
            ? { ours: ['FAILED_PRECONDITION', []], theirs: ['UNKNOWN', []] }
            : { ours: [undefined, []], theirs: [undefined, []] },
          `${ours?.message}\n${theirs?.message}`,
        );
      } finally {
        adjust = undefined;
        for (const plugin of needed) await plugin.close();
      }
    });
  }
});
