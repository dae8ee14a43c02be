import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, describe, test } from 'node:test';
import { SecurityProfile_ProfileType as Profile, NamespaceMode } from '../../generated/runtime/v1/api.js';
import { run } from '../../tools/stack/exec.js';
import { startCrid } from '../harness/crid.js';
import { assertLeavesNothing, leaks } from '../harness/leaks.js';
import { removeAllPods, runPod } from '../harness/pod.js';
import { assertFails, startSuite } from '../integration/rpc/suite.js';
import {
  context,
  testRules,
  type ContainerPart,
  type Context,
  type Pods,
  type Rule,
} from '../integration/spec/rules.js';
import { HANDLERS } from './scopes.js';

const DEFAULT = 'cri-containerd.apparmor.d';
/** A profile that is not crid's. It denies writes to /home. */
const OTHER = 'crid-test-no-home';
const FIELD = 'config.linux.security_context.apparmor';

const suite = startSuite();

/** With a separate pid namespace, so that pid 1 is the container's process and not the pod's. */
const own = (more: Context = {}): ContainerPart =>
  context({ namespace_options: { pid: NamespaceMode.CONTAINER }, ...more });
const localhost = (localhost_ref: string): Context => ({
  apparmor: { profile_type: Profile.Localhost, localhost_ref },
});
const CURRENT = 'cat /proc/1/attr/current /proc/self/attr/current';
/** The runtimes themselves may have a profile that confines nothing. Their children keep its name. */
const NONE = /^(unconfined|\w+ \(unconfined\))\n\1$/;
const twice = (line: string): string => `${line}\n${line}`;

const loadOther = async (): Promise<ContainerPart> => {
  const profile = `profile ${OTHER} flags=(attach_disconnected) {\n  file,\n  deny /home/** w,\n  signal,\n  ptrace,\n}\n`;
  await run('apparmor_parser', ['--replace', '--skip-cache'], { input: profile });
  return own(localhost(OTHER));
};

const rules = (handler: string): Rule[] => {
  const on = (rule: Rule): Rule => ({ ...rule, pod: rule.pod ?? handler });
  return [
    {
      name: 'nothing asked: the default profile, for an exec too',
      config: own(),
      command: CURRENT,
      expected: twice(`${DEFAULT} (enforce)`),
    },
    {
      name: 'RuntimeDefault',
      config: own({ apparmor: { profile_type: Profile.RuntimeDefault } }),
      command: CURRENT,
      expected: twice(`${DEFAULT} (enforce)`),
    },
    {
      name: 'Unconfined',
      config: own({ apparmor: { profile_type: Profile.Unconfined } }),
      command: CURRENT,
      expected: NONE,
    },
    {
      name: 'Localhost: a profile that is loaded',
      config: loadOther,
      command: CURRENT,
      expected: twice(`${OTHER} (enforce)`),
    },
    {
      name: 'Localhost: what it denies is denied',
      config: loadOther,
      command: 'touch /home/x; touch /tmp/x && echo written',
      expected: /^written\ntouch: .*Permission denied$/,
    },
    {
      name: 'Localhost, in the older field',
      config: async () => {
        await loadOther();
        return own({ apparmor_profile: `localhost/${OTHER}` });
      },
      command: CURRENT,
      expected: twice(`${OTHER} (enforce)`),
    },
    {
      name: 'Unconfined, in the older field',
      config: own({ apparmor_profile: 'unconfined' }),
      command: CURRENT,
      expected: NONE,
    },
    {
      name: 'the default profile forbids to mount, whatever the capabilities',
      config: own({ capabilities: { add_capabilities: ['SYS_ADMIN'] } }),
      command: 'mount -t tmpfs none /tmp',
      expected: /Permission denied|denied/,
    },
    {
      name: 'without a profile the same capabilities do',
      config: own({
        capabilities: { add_capabilities: ['SYS_ADMIN'] },
        apparmor: { profile_type: Profile.Unconfined },
      }),
      command: 'mount -t tmpfs none /tmp && echo mounted',
      expected: 'mounted',
    },
    {
      name: 'the default profile keeps the kernel’s settings, and lets files and signals be',
      config: own(),
      command: 'echo x >/etc/mine && kill -0 1 && echo allowed; echo 1 >/proc/sysrq-trigger',
      expected: /^allowed\n.*(denied|Read-only)/,
    },
    {
      name: 'privileged: none',
      pod: `${handler} privileged`,
      config: own({ privileged: true }),
      command: CURRENT,
      expected: NONE,
    },
    {
      name: 'privileged, with a profile by name: that one',
      pod: `${handler} privileged`,
      config: async () => {
        await loadOther();
        return own({ privileged: true, ...localhost(OTHER) });
      },
      command: CURRENT,
      expected: twice(`${OTHER} (enforce)`),
    },
  ].map(on);
};
/** The runtime applies the profile; the kernel enforces it. These cases test the runtime. */
const OF_THE_RUNTIME = /^(nothing asked|Unconfined$|Localhost: a profile|privileged)/;

const pods: Pods = Object.fromEntries(
  HANDLERS.flatMap((handler) => [
    [handler, { handler }],
    [`${handler} privileged`, { handler, linux: { security_context: { privileged: true } } }],
  ]),
);
describe('runc', () => testRules(suite, rules('runc'), pods));
describe('crun', () =>
  testRules(
    suite,
    rules('crun').filter(({ name }) => OF_THE_RUNTIME.test(name)),
    pods,
  ));

test('the default profile is loaded again when it has gone', async () => {
  const pod = await runPod(suite.crid, suite.stack);
  await suite.crid.runtime.removeContainer({ container_id: await pod.run(own()) });
  assert.ok((await loaded()).includes(`${DEFAULT} (enforce)`));
  await run('apparmor_parser', ['--remove'], { input: `profile ${DEFAULT} {\n}\n` });
  assert.ok(!(await loaded()).includes(DEFAULT));
  const { stdout } = await pod.exec(await pod.run(own()), ['cat', '/proc/1/attr/current']);
  assert.equal(stdout, `${DEFAULT} (enforce)\n`);
  await pod.remove();
});

test('a container under the default profile can be signalled and stopped', async () => {
  const pod = await runPod(suite.crid, suite.stack);
  const id = await pod.runReady('polite', 'trap "exit 7" TERM; echo ready; while :; do sleep 0.1; done', own());
  await suite.crid.runtime.stopContainer({ container_id: id, timeout: 60n });
  const { status } = await suite.crid.runtime.containerStatus({ container_id: id });
  assert.equal(status!.exit_code, 7);
  await pod.remove();
});

test('a profile that is not loaded is an error that names it, and leaves nothing behind', async () => {
  const before = await leaks(suite.stack);
  const pod = await runPod(suite.crid, suite.stack);
  await assertFails(
    pod.create(own(localhost('crid-test-missing'))),
    'FAILED_PRECONDITION',
    FIELD,
    '"crid-test-missing"',
  );
  await assertFails(
    pod.create(own({ apparmor_profile: 'localhost/crid-test-missing' })),
    'FAILED_PRECONDITION',
    'crid-test-missing',
  );
  await assertFails(pod.create(own({ apparmor_profile: 'no-such-kind' })), 'INVALID_ARGUMENT', 'apparmor');
  await assertFails(pod.create(own(localhost(''))), 'INVALID_ARGUMENT', 'localhost_ref');
  await pod.remove();
  await assertLeavesNothing(suite.stack, before);
});

test('disable_apparmor: no profile, and an error if one is requested', async () => {
  const crid = await startCrid(suite.stack, {
    config: { runtime: { disable_apparmor: true }, crid: { namespace: 'crid-no-apparmor' } },
  });
  try {
    await crid.images.pullImage({ image: { image: 'docker.io/library/busybox:latest' } });
    const pod = await runPod(crid, suite.stack);
    const { stdout } = await pod.exec(await pod.run(own()), ['cat', '/proc/1/attr/current']);
    assert.match(stdout, /^(unconfined|\w+ \(unconfined\))\n$/);
    await assertFails(pod.create(own(localhost(DEFAULT))), 'FAILED_PRECONDITION', FIELD, 'disabled');
    await assertFails(
      pod.create(own({ apparmor: { profile_type: Profile.RuntimeDefault } })),
      'FAILED_PRECONDITION',
      FIELD,
    );
  } finally {
    await removeAllPods(crid);
    await crid.stop();
    crid.close();
  }
});

after(async () => {
  if ((await loaded()).includes(OTHER))
    await run('apparmor_parser', ['--remove'], { input: `profile ${OTHER} {\n}\n` });
});

const loaded = (): Promise<string> => readFile('/sys/kernel/security/apparmor/profiles', 'utf8');
