import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { CriError } from '../../../src/base/errors.js';
import { newFile, type Direction } from '../../../src/migrate/move-node.js';
import { createRecords, isAsWritten, type MoveRecord } from '../../../src/migrate/move-record.js';
import { filesBelow } from '../../../src/migrate/node-files.js';
import { CONFIG, makeNode, SOCKETS, type MadeNode } from './made-node.js';

const KUBELET = '/var/lib/kubelet/config.yaml';
const FLAGS = '/var/lib/kubelet/kubeadm-flags.env';
const FILES = {
  [CONFIG]: '# ours\nversion = 3\n[debug]\n',
  [KUBELET]: `containerRuntimeEndpoint: unix://${SOCKETS.containerd}\n`,
  [FLAGS]: `ARGS="--container-runtime-endpoint=unix://${SOCKETS.containerd}"\n`,
};

const EMPTY_RECORD: MoveRecord = {
  version: 1,
  done: false,
  kubeletActive: true,
  cridActive: false,
  cridEnabled: false,
  pluginOn: true,
  files: {},
};

/** Returns a node before the move in a direction. */
async function nodeBefore(direction: Direction): Promise<MadeNode> {
  const node = makeNode(FILES);
  if (direction === 'back') assert.equal((await node.migrate('to-crid', true)).error, undefined);
  node.changes.length = 0;
  return node;
}

const everything = (node: MadeNode): object => [node.files(), node.modes(), node.state()];

/** Returns the changes of the whole move, and the node after it. */
async function wholeMove(direction: Direction): Promise<{ changes: readonly string[]; after: object }> {
  const node = await nodeBefore(direction);
  assert.equal((await node.migrate(direction, true)).error, undefined);
  return { changes: [...node.changes], after: everything(node) };
}

for (const direction of ['to-crid', 'back'] as const) {
  test(`${direction}: whichever change fails, the node is as before, and a repeat moves it`, async () => {
    const { changes, after } = await wholeMove(direction);
    for (const failing of new Set(changes)) {
      const node = await nodeBefore(direction);
      const before = everything(node);
      let count = 0;
      node.fail = (change) => (change === failing && ++count === 1 ? 'no space' : undefined);
      const { error, output } = await node.migrate(direction, true);
      assert.match(error ?? '', /no space/, failing);
      assert.match(output, /undone: the node is as before/, failing);
      assert.deepEqual(everything(node), before, failing);
      assert.equal((await node.migrate(direction, true)).error, undefined, failing);
      assert.deepEqual(everything(node), after, failing);
    }
  });

  test(`${direction}: after a kill at any change, a repeat ends the move`, async () => {
    const { after } = await wholeMove(direction);
    for (const made of [false, true]) {
      for (let at = 0; ; at++) {
        const node = await nodeBefore(direction);
        node.kill = { at, made };
        await node.migrate(direction, true);
        if (node.kill) break;
        const { error } = await node.migrate(direction, true);
        assert.deepEqual(
          [error, everything(node)],
          [undefined, after],
          `killed ${made ? 'after' : 'before'} change ${at}`,
        );
      }
    }
  });

  test(`${direction}: after a kill, a failure in the repeat undoes what the first run did too`, async () => {
    const { changes } = await wholeMove(direction);
    const failing = changes.at(-1) ?? '';
    for (let at = 0; ; at++) {
      const node = await nodeBefore(direction);
      const before = everything(node);
      node.kill = { at, made: true };
      await node.migrate(direction, true);
      if (node.kill) break;
      let count = 0;
      node.fail = (change) => (change === failing && ++count === 1 ? 'no space' : undefined);
      const { error } = await node.migrate(direction, true);
      // The kubelet may have been started before the kill.
      if (error === undefined) continue;
      assert.deepEqual(everything(node), before, `killed after change ${at}`);
    }
  });
}

test('a move that was killed can be turned back', async () => {
  for (let at = 0; ; at++) {
    const node = await nodeBefore('to-crid');
    const before = everything(node);
    node.kill = { at, made: true };
    await node.migrate('to-crid', true);
    if (node.kill) break;
    const { error } = await node.migrate('back', true);
    assert.deepEqual([error, everything(node)], [undefined, before], `killed after change ${at}`);
  }
});

test('the move is undone when crid does not list a container that ran before', async () => {
  const node = await nodeBefore('to-crid');
  const before = everything(node);
  node.unlisted = (socket) => socket === SOCKETS.crid;
  const { error } = await node.migrate('to-crid', true);
  assert.equal(error, `start crid: the server at ${SOCKETS.crid} does not list c1`);
  assert.deepEqual(everything(node), before);
});

test('back: a plugin that does not initialise in time is off again before crid starts', async () => {
  const node = await nodeBefore('back');
  const before = everything(node);
  node.pluginStartMs = Infinity;
  const { error } = await node.migrate('back', true);
  assert.equal(error, "configure containerd: containerd's CRI plugin is still off");
  assert.deepEqual([everything(node), node.bothRan], [before, false]);
});

test('a plugin that initialises is asked again, in the move and in the plan', async () => {
  const node = await nodeBefore('back');
  node.pluginStartMs = 30_000;
  assert.equal((await node.migrate('back', true)).error, undefined);
  node.restartContainerd();
  assert.match((await node.migrate('to-crid')).output, /its CRI plugin is on\n/);
  node.pluginStartMs = Infinity;
  node.restartContainerd();
  assert.match((await node.migrate('to-crid', true)).error ?? '', /does not say whether its CRI plugin is on/);
});

test('the move is undone when the kubelet ends after its start', async () => {
  const node = await nodeBefore('to-crid');
  const before = everything(node);
  node.kubeletEnds = () => node.units.crid.active;
  const { error } = await node.migrate('to-crid', true);
  assert.equal(error, 'start the kubelet: kubelet.service does not stay active: see journalctl -u kubelet');
  assert.deepEqual(everything(node), before);
});

test('a kubelet that ended again and again before the move may go on so', async () => {
  const node = await nodeBefore('to-crid');
  node.activeStates.set('kubelet', 'activating');
  node.kubeletEnds = () => true;
  assert.equal((await node.migrate('to-crid', true)).error, undefined);
});

test('crid that still stops is stopped by the undo', async () => {
  const node = await nodeBefore('to-crid');
  node.fail = (change) => {
    if (change !== 'systemctl enable --now crid') return undefined;
    node.activeStates.set('crid', 'deactivating');
    return 'canceled';
  };
  await node.migrate('to-crid', true);
  assert.ok(node.changes.includes('systemctl stop crid'), node.changes.join('\n'));
});

test('an undo that exceeds its limit is awaited, and its command does not run twice at a time', async () => {
  const node = await nodeBefore('to-crid');
  const before = everything(node);
  node.undoLimitMs = 20;
  node.fail = (change) => (change === 'systemctl enable --now crid' ? 'no' : undefined);
  let [restarts, now, most] = [0, 0, 0];
  node.before = async (change) => {
    if (change !== 'systemctl restart containerd') return;
    most = Math.max(most, ++now);
    if (++restarts > 1) await setTimeout(500);
    now--;
  };
  assert.equal((await node.migrate('to-crid', true)).error, 'start crid: systemctl enable --now crid: no');
  assert.deepEqual([everything(node), restarts, most], [before, 2, 1]);
});

for (const direction of ['to-crid', 'back'] as const) {
  test(`${direction}: whenever it is interrupted, the move is undone, or ends if that was its last change`, async () => {
    const { changes, after } = await wholeMove(direction);
    for (const interrupted of changes) {
      const node = await nodeBefore(direction);
      const before = everything(node);
      const ending = new AbortController();
      let isLast = false;
      node.before = (change) => {
        if (change === interrupted) ending.abort(new CriError('CANCELLED', 'interrupted by SIGINT'));
        isLast = change === changes.at(-1);
      };
      const { error, output } = await node.migrate(direction, true, ending.signal);
      node.before = () => undefined;
      if (error === undefined) {
        assert.deepEqual([isLast, everything(node)], [true, after], interrupted);
        continue;
      }
      assert.match(error, /interrupted by SIGINT/, interrupted);
      assert.match(output, /undone: the node is as before/, interrupted);
      assert.deepEqual(everything(node), before, interrupted);
    }
  });
}

test('a repeat after a kill lists the containers again, if the kubelet has run since', async () => {
  const node = await nodeBefore('to-crid');
  node.kill = { at: 4, made: true };
  await node.migrate('to-crid', true);
  assert.equal(node.units.kubelet.active, false);
  node.units.kubelet.active = true;
  node.running = ['c2'];
  assert.equal((await node.migrate('to-crid', true)).error, undefined);
});

test('an undo leaves a file alone that somebody has changed since the move wrote it', async () => {
  const node = await nodeBefore('to-crid');
  node.before = (change) => {
    if (change === 'systemctl start kubelet') node.write(KUBELET, 'kind: changed\n');
  };
  node.fail = (change) => (change === 'systemctl start kubelet' && node.units.crid.active ? 'masked' : undefined);
  const { output } = await node.migrate('to-crid', true);
  assert.equal(node.files()[KUBELET], 'kind: changed\n');
  assert.match(output, new RegExp(`^${KUBELET} has been changed since the move wrote it, and stays as it is$`, 'm'));
  assert.equal(node.files()[FLAGS], FILES[FLAGS]);
});

test('the copy of a file that a run changes twice is the original', async () => {
  const files = filesBelow(await mkdtemp(join(tmpdir(), 'crid-record-')));
  const records = createRecords(files);
  const [path, original, first] = ['/etc/a', newFile('original'), newFile('first')];
  let record: MoveRecord = { ...EMPTY_RECORD };
  record = await records.keep('to-crid', record, { path, before: original, after: first }, false);
  record = await records.keep('to-crid', record, { path, before: undefined, after: newFile('second') }, true);
  assert.deepEqual(await records.original('to-crid', record, path), original);
  assert.deepEqual(
    [first, newFile('second')].map((file) => isAsWritten(record, path, file)),
    [false, true],
  );
});

test('an undo that fails is named', async () => {
  const node = await nodeBefore('to-crid');
  node.fail = (change) => (change === 'systemctl start kubelet' ? 'masked' : undefined);
  assert.equal(
    (await node.migrate('to-crid', true)).error,
    'start the kubelet: systemctl start kubelet: masked; could not be undone: stop the kubelet',
  );
});

test('an interrupted move is what --check plans', async () => {
  const node = await nodeBefore('to-crid');
  node.kill = { at: 6, made: true };
  await node.migrate('to-crid', true);
  const { output } = await node.migrate(undefined);
  assert.match(output, /plan: move the node to crid/);
  assert.ok(!output.includes('systemctl stop kubelet'), output);
  assert.match(output, /systemctl start kubelet/);
});
