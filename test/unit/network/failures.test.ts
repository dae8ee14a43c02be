import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { CriError } from '../../../src/base/errors.js';
import type { PluginMetric } from '../../../src/network/plugins.js';
import { createLab, fail, never, oneAddress, pod, type Lab } from './fake-plugins.js';

const LIST = { cniVersion: '1.0.0', name: 'net', plugins: [{ type: 'first' }, { type: 'second' }] };

async function failedAttach(lab: Lab, second: string): Promise<{ code: string; message: string }> {
  await Promise.all([lab.plugin('first'), lab.plugin('second', { add: second }), lab.conf('1.conflist', LIST)]);
  return thrownBy(lab.network().attach(pod(), never()));
}

async function thrownBy(work: Promise<unknown>): Promise<{ code: string; message: string }> {
  try {
    await work;
  } catch (thrown) {
    assert.ok(thrown instanceof CriError);
    return { code: thrown.code, message: thrown.message };
  }
  assert.fail('nothing was thrown');
}

const ROLLED_BACK = ['ADD first eth0', 'ADD second eth0', 'DEL second eth0', 'DEL first eth0'];

test("a plugin's own error is passed on, after the network was rolled back", async (t) => {
  const lab = await createLab(t);
  assert.deepEqual(
    {
      ...(await failedAttach(lab, fail('no addresses left', 11))),
      calls: await lab.calls(),
      cached: await lab.cached(),
    },
    {
      code: 'UNAVAILABLE',
      message: 'plugin type="second" name="net" failed (add): no addresses left',
      calls: ROLLED_BACK,
      cached: [],
    },
  );
});

const oddities = {
  'prints what is not JSON': [
    `printf 'oh no'`,
    'UNKNOWN',
    'plugin type="second" name="net" failed (add): its result is not JSON, received "oh no"',
  ],
  'fails without a word': [
    'exit 3',
    'UNKNOWN',
    'plugin type="second" name="net" failed (add): exit status 3 without a CNI error',
  ],
  'fails on stderr only': [
    'echo panic >&2; exit 2',
    'UNKNOWN',
    'plugin type="second" name="net" failed (add): exit status 2 without a CNI error, said "panic"',
  ],
  'is killed': ['kill -9 $$', 'UNKNOWN', 'plugin type="second" name="net" failed (add): killed by SIGKILL'],
  'prints 10 MB': [
    'head -c 10000000 /dev/zero',
    'RESOURCE_EXHAUSTED',
    'plugin type="second" name="net" failed (add): killed: wrote more than 1048576 bytes',
  ],
} as const;

for (const [what, [add, code, message]] of Object.entries(oddities)) {
  test(`a plugin that ${what} is named and rolled back`, async (t) => {
    const lab = await createLab(t);
    assert.deepEqual(
      { ...(await failedAttach(lab, add)), calls: await lab.calls(), cached: await lab.cached() },
      { code, message, calls: ROLLED_BACK, cached: [] },
    );
  });
}

test('a plugin that hangs is named meanwhile, and killed with its children some time after the caller gave up', async (t) => {
  const lab = await createLab(t);
  await Promise.all([lab.plugin('first'), lab.conf('1.conflist', LIST)]);
  await lab.plugin('second', { add: `sleep 600 & echo $! > ${lab.dir}/child; wait` });
  const network = lab.network();
  const giveUp = new AbortController();
  const attaching = thrownBy(network.attach(pod(), giveUp.signal));
  while (!(await lab.calls()).includes('ADD second eth0')) await sleep(10);
  await sleep(50);
  const waitingOn = network.waitingOn('pod1');
  giveUp.abort(new CriError('DEADLINE_EXCEEDED', 'add network: not done within 1 s'));
  const { code, message } = await attaching;
  assert.match(waitingOn ?? '', /^plugin second \(ADD, \d\.\d s\)$/);
  assert.match(
    message,
    /^plugin type="second" name="net" failed \(add\): no answer, killed after \d s: add network: not done within 1 s$/,
  );
  assert.deepEqual(
    { code, calls: await lab.calls(), cached: await lab.cached(), waitingOn: network.waitingOn('pod1') },
    { code: 'DEADLINE_EXCEEDED', calls: ROLLED_BACK, cached: [], waitingOn: undefined },
  );
  const child = Number(await readFile(join(lab.dir, 'child'), 'utf8'));
  // The process that inherits an orphan may reap it late.
  const stat = await readFile(`/proc/${child}/stat`, 'utf8').catch(() => 'gone) Z');
  assert.match(stat, /\) Z/);
});

test('a plugin that runs when the caller gives up may finish, and its network is removed', async (t) => {
  const lab = await createLab(t);
  await Promise.all([lab.plugin('second'), lab.conf('1.conflist', LIST)]);
  await lab.plugin('first', { add: `sleep 0.5; echo done >${lab.dir}/finished; echo '{"cniVersion":"1.0.0"}'` });
  const giveUp = new AbortController();
  const attaching = thrownBy(lab.network().attach(pod(), giveUp.signal));
  while (!(await lab.calls()).includes('ADD first eth0')) await sleep(10);
  giveUp.abort(new CriError('CANCELLED', 'another step failed'));
  const { code } = await attaching;
  assert.deepEqual(
    { code, finished: await readFile(join(lab.dir, 'finished'), 'utf8'), calls: await lab.calls() },
    { code: 'CANCELLED', finished: 'done\n', calls: ['ADD first eth0', 'DEL second eth0', 'DEL first eth0'] },
  );
});

test('a waiting plugin is given up without having run', async (t) => {
  const lab = await createLab(t);
  await Promise.all([lab.plugin('first', { add: 'sleep 600' }), lab.plugin('second'), lab.conf('1.conflist', LIST)]);
  const network = lab.network({ maxPlugins: 1, useInternalLoopback: true, bringUpLoopback: () => {} });
  const giveUp = new AbortController();
  const one = thrownBy(network.attach(pod(), giveUp.signal));
  while ((await lab.calls()).length < 1) await sleep(10);
  const two = thrownBy(network.attach(pod({ id: 'pod2' }), giveUp.signal));
  while (network.waitingOn('pod2') === undefined) await sleep(10);
  const waitingOn = network.waitingOn('pod2');
  giveUp.abort(new CriError('CANCELLED', 'enough'));
  assert.match((await one).message, /killed after .* s: enough$/);
  assert.match(waitingOn ?? '', /^plugin first \(ADD, queued 0\.\d s\)$/);
  assert.deepEqual(await two, { code: 'CANCELLED', message: 'plugin type="first" name="net" failed (add): enough' });
  assert.equal((await lab.calls()).filter((call) => call.startsWith('ADD')).length, 1);
});

test('a plugin has its own timeout', async (t) => {
  const lab = await createLab(t);
  await Promise.all([lab.plugin('first', { add: 'sleep 600' }), lab.plugin('second'), lab.conf('1.conflist', LIST)]);
  const ran: PluginMetric[] = [];
  const network = lab.network({ addTimeoutMs: 200, onPlugin: (metric) => ran.push(metric) });
  const { code, message } = await thrownBy(network.attach(pod(), never()));
  assert.equal(code, 'DEADLINE_EXCEEDED');
  assert.match(message, /^plugin type="first" name="net" failed \(add\): no answer, killed after 0\.\d s$/);
  assert.deepEqual(
    ran.filter(({ plugin }) => plugin !== 'loopback').map(({ plugin, verb, ok }) => [plugin, verb, ok]),
    [
      ['first', 'ADD', false],
      ['second', 'DEL', true],
      ['first', 'DEL', true],
    ],
  );
});

test('a daemon that a plugin leaves behind does not delay its result', async (t) => {
  const lab = await createLab(t);
  await lab.plugin('first', { add: `sleep 600 & echo $! > ${lab.dir}/daemon; ${oneAddress}` });
  await lab.conf('1.conf', { cniVersion: '1.0.0', name: 'net', type: 'first' });
  const { ips } = await lab.network().attach(pod(), AbortSignal.timeout(20_000));
  const daemon = Number(await readFile(join(lab.dir, 'daemon'), 'utf8'));
  assert.deepEqual([ips, process.kill(daemon)], [['10.9.0.2'], true]);
});

test('a missing binary is found before anything runs, and detach has nothing to undo', async (t) => {
  const lab = await createLab(t);
  await Promise.all([lab.plugin('first'), lab.conf('1.conflist', LIST)]);
  const network = lab.network();
  const { code, message } = await thrownBy(network.attach(pod(), never()));
  await network.detach(pod(), never());
  assert.deepEqual(
    { code, message, calls: await lab.calls(), cached: await lab.cached() },
    {
      code: 'FAILED_PRECONDITION',
      message: `failed to find plugin "second" in path [${lab.dir}/none ${lab.dir}/bin]`,
      calls: [],
      cached: [],
    },
  );
});

test('a failed network removes the others too', async (t) => {
  const lab = await createLab(t);
  await Promise.all([lab.plugin('first'), lab.plugin('second', { add: `sleep 0.2; ${fail('no')}` })]);
  await lab.conf('1.conf', { cniVersion: '1.0.0', name: 'one', type: 'first' });
  await lab.conf('2.conf', { cniVersion: '1.0.0', name: 'two', type: 'second' });
  const network = lab.network({ maxConfNum: 0 });
  const { message } = await thrownBy(network.attach(pod(), never()));
  assert.deepEqual(
    { message, undone: (await lab.calls()).slice(2), cached: await lab.cached() },
    {
      message: 'plugin type="second" name="two" failed (add): no',
      undone: ['DEL second eth1', 'DEL first eth0'],
      cached: [],
    },
  );
});

test('an eth0 without an address is a failure', async (t) => {
  const lab = await createLab(t);
  const { code, message } = await failedAttach(lab, `printf '{"cniVersion":"1.0.0"}'`);
  assert.deepEqual(
    { code, message, calls: await lab.calls() },
    { code: 'UNKNOWN', message: 'network net gave eth0 of pod pod1 no address', calls: ROLLED_BACK },
  );
});

test('a failed DEL does not stop the others, and can be retried with the same data', async (t) => {
  const lab = await createLab(t);
  await Promise.all([lab.plugin('first'), lab.plugin('second', { del: fail('busy') }), lab.conf('1.conflist', LIST)]);
  const network = lab.network();
  await network.attach(pod(), never());
  const { message } = await thrownBy(network.detach(pod(), never()));
  const kept = await lab.cached();
  await lab.plugin('second');
  await rm(join(lab.confDir, '1.conflist'));
  await network.detach(pod(), never());
  assert.deepEqual(
    { message, calls: (await lab.calls()).slice(2), kept, cached: await lab.cached() },
    {
      message: 'plugin type="second" name="net" failed (delete): busy',
      calls: ['DEL second eth0', 'DEL first eth0', 'DEL second eth0', 'DEL first eth0'],
      kept: ['net-pod1-eth0'],
      cached: [],
    },
  );
});

test('a DEL that fails because nothing exists counts as done', async (t) => {
  const lab = await createLab(t);
  const del = 'if [ -z "$CNI_NETNS" ]; then msg="open: no such file or directory"; else msg="link not found"; fi';
  await lab.plugin('first');
  await lab.plugin('second', { del: `${del}; printf '{"code":5,"msg":"%s"}' "$msg"; exit 1` });
  await lab.conf('1.conflist', LIST);
  const network = lab.network();
  for (const netnsPath of ['/proc/self/ns/net', '/gone']) {
    await network.attach(pod(), never());
    await network.detach(pod({ netnsPath }), never());
    assert.deepEqual(await lab.cached(), []);
  }
});

test('a crash in the middle of ADD leaves what DEL needs', async (t) => {
  const lab = await createLab(t);
  // The fake plugins simulate a crash: the rollback fails, so that only the cache remains of the attempt.
  await lab.plugin('first', { add: fail('crash'), del: fail('crash') });
  await Promise.all([lab.plugin('second'), lab.conf('1.conflist', LIST)]);
  await thrownBy(lab.network().attach(pod(), never()));
  await Promise.all([lab.plugin('first'), rm(join(lab.confDir, '1.conflist'))]);
  const before = await lab.cached();
  await lab.network().detach(pod(), never());
  assert.deepEqual(
    { before, calls: (await lab.calls()).slice(-2), after: await lab.cached() },
    { before: ['net-pod1-eth0'], calls: ['DEL second eth0', 'DEL first eth0'], after: [] },
  );
});
