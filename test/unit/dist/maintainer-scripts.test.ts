import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { projectRoot } from '../../../tools/stack/project.js';

/**
 * dpkg's scripts, on a root of their own: their paths are moved below it, and their PATH has only programs that record
 * their calls, besides `cat`, `rm` and `rmdir`.
 */
const PROGRAMS = ['deb-systemd-helper', 'deb-systemd-invoke', 'systemctl', 'journalctl'];
const PROGRAM = `#!/bin/sh
printf '%s\\n' "\${0##*/} $*" >>"$CALLS"
case "\${0##*/} $*" in
"systemctl show "*) printf '%s\\n' "$LOAD_STATE" ;;
"journalctl "*) printf '%s\\n' 'crid: no containerd' ;;
"$FAILS") exit 1 ;;
esac
`;
/** Files of a node that the package did not install. */
const STAYS = ['etc/crid/config.toml', 'etc/systemd/system/crid.service.d/own.conf', 'run/crid/crid.sock'];
/** Files that crid has written, which only a purge removes. */
const WRITTEN = ['var/cache/crid/code', 'var/lib/crid/migrate/copies/config.toml'];

class Node {
  readonly root = mkdtempSync(join(tmpdir(), 'crid-scripts-'));

  constructor({ hasSystemd = true } = {}) {
    if (hasSystemd) mkdirSync(join(this.root, 'run/systemd/system'), { recursive: true });
    for (const path of [...STAYS, ...WRITTEN]) {
      mkdirSync(join(this.root, path, '..'), { recursive: true });
      writeFileSync(join(this.root, path), '');
    }
    mkdirSync(join(this.root, 'bin'));
    for (const name of PROGRAMS) writeFileSync(join(this.root, 'bin', name), PROGRAM, { mode: 0o755 });
    for (const name of ['cat', 'rm', 'rmdir']) symlinkSync(`/bin/${name}`, join(this.root, 'bin', name));
  }

  /** Runs a script as dpkg does; returns the calls that it made. */
  run(script: string, args: readonly string[], environment: Record<string, string> = {}) {
    const calls = join(this.root, 'calls');
    writeFileSync(calls, '');
    const source = readFileSync(join(projectRoot, 'packaging/debian', script), 'utf8');
    const moved = source.replaceAll(/(?<![\w./])\/(?=(etc|run|usr|var)\b)/g, `${this.root}/`);
    const { status, stderr } = spawnSync('/bin/sh', ['-c', moved, script, ...args], {
      encoding: 'utf8',
      env: { PATH: join(this.root, 'bin'), CALLS: calls, FAILS: '', LOAD_STATE: 'not-found', ...environment },
    });
    return { status, stderr, calls: readFileSync(calls, 'utf8').split('\n').filter(Boolean) };
  }

  /** Returns those files of STAYS and WRITTEN that exist. */
  files(): string[] {
    return [...STAYS, ...WRITTEN].filter((path) => existsSync(join(this.root, path)));
  }
}

function node(t: TestContext, options?: { hasSystemd: boolean }): Node {
  const made = new Node(options);
  t.after(() => rmSync(made.root, { recursive: true }));
  return made;
}

const UPDATE = 'deb-systemd-helper update-state crid.service';
const RELOAD = 'systemctl --system daemon-reload';
const RESTART = 'deb-systemd-invoke try-restart crid.service';
const LOAD_STATE = 'systemctl show --property=LoadState --value crid.service';
const PURGE = 'deb-systemd-helper purge crid.service';

test('an installation enables and starts nothing', (t) => {
  assert.deepEqual(node(t).run('postinst', ['configure', '']), { status: 0, stderr: '', calls: [UPDATE, RELOAD] });
});

test('an upgrade stops nothing, and restarts a crid that runs when the new files are there', (t) => {
  const made = node(t);
  assert.deepEqual(made.run('prerm', ['upgrade', '2.0-1']), { status: 0, stderr: '', calls: [] });
  assert.deepEqual(made.run('postrm', ['upgrade', '2.0-1']), { status: 0, stderr: '', calls: [] });
  assert.deepEqual(made.run('postinst', ['configure', '1.0-1']), {
    ...{ status: 0, stderr: '' },
    calls: [UPDATE, RELOAD, RESTART],
  });
  assert.deepEqual(made.files(), [...STAYS, ...WRITTEN]);
});

test('an upgrade to a version that does not start succeeds, and prints the messages of crid itself', (t) => {
  const { status, stderr, calls } = node(t).run('postinst', ['configure', '1.0-1'], { FAILS: RESTART });
  assert.equal(status, 0);
  assert.match(stderr, /^crid: this version did not start;.*\ncrid: no containerd\n$/);
  const journal = 'journalctl _SYSTEMD_UNIT=crid.service --lines=5 --output=cat --no-pager';
  assert.deepEqual(calls, [UPDATE, RELOAD, RESTART, journal]);
});

test('a removal stops crid before its files go, and says what stays', (t) => {
  const made = node(t);
  assert.deepEqual(made.run('prerm', ['remove']).calls, ['deb-systemd-invoke stop crid.service']);
  const { status, stderr, calls } = made.run('postrm', ['remove']);
  assert.deepEqual([status, calls, made.files()], [0, [RELOAD], [...STAYS, ...WRITTEN]]);
  assert.match(stderr, /^crid: no longer serves the CRI. These stay:\n/);
  assert.match(stderr, /\/var\/lib\/crid\/migrate\n$/);
});

test('a purge removes the links, the cache, the records of moves and the pipes, and nothing that the package did not make', (t) => {
  const made = node(t);
  const calls = [LOAD_STATE, PURGE, RELOAD, 'systemctl clean --what=fdstore crid.service', RELOAD];
  assert.deepEqual(made.run('postrm', ['purge']), { status: 0, stderr: '', calls });
  assert.deepEqual(made.files(), STAYS);
  assert.equal(existsSync(join(made.root, 'run/systemd/system/crid.service')), false);
  assert.equal(existsSync(join(made.root, 'var/lib/crid')), false);
});

test('a purge leaves other files in /var/lib/crid', (t) => {
  const made = node(t);
  const other = join(made.root, 'var/lib/crid/other');
  writeFileSync(other, '');
  assert.equal(made.run('postrm', ['purge']).status, 0);
  assert.deepEqual([made.files(), existsSync(other)], [STAYS, true]);
});

test('a purge leaves the links, the cache and the records to another crid.service', (t) => {
  const made = node(t);
  assert.deepEqual(made.run('postrm', ['purge'], { LOAD_STATE: 'loaded' }).calls, [LOAD_STATE]);
  assert.deepEqual(made.files(), [...STAYS, ...WRITTEN]);
});

test('without systemd the scripts call only deb-systemd-helper', (t) => {
  const made = node(t, { hasSystemd: false });
  const calls = [
    ['postinst', 'configure', '1.0-1'],
    ['prerm', 'remove'],
    ['postrm', 'remove'],
    ['postrm', 'purge'],
  ].map(([script = '', ...args]) => made.run(script, args).calls);
  assert.deepEqual(calls, [[UPDATE], [], [], [PURGE]]);
  assert.deepEqual(made.files(), STAYS);
});
