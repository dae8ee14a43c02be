import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { stringify } from 'smol-toml';
import { projectRoot } from '../../../tools/stack/project.js';
import { startSuite } from './suite.js';

const suite = startSuite();
const program = process.env['CRID_TEST_PROGRAM'] ?? join(projectRoot, 'bin', 'crid');
const LIMIT_MS = 60_000;

/**
 * Runs `crid doctor` with this configuration of crid. Returns its exit code, and each line as `level subject message`.
 */
async function doctor(config: Record<string, object>): Promise<{ code: number; lines: string[] }> {
  const file = join(suite.crid.dir, 'doctor.toml');
  await writeFile(file, stringify(config));
  const args = ['doctor', '--containerd-config', suite.stack.containerd.config, '--config', file];
  return new Promise((resolve, reject) => {
    execFile(program, args, { timeout: LIMIT_MS }, (error, stdout, stderr) => {
      if (error && typeof error.code !== 'number') return reject(error);
      assert.equal(stderr, '');
      const lines = stdout.trimEnd().split('\n');
      resolve({ code: Number(error?.code ?? 0), lines: lines.map((line) => line.replaceAll(/ {2,}/g, ' ')) });
    });
  });
}

const faultsIn = (lines: readonly string[]): string[] => lines.filter((line) => line.startsWith('fault '));

test('a working node has no fault', async () => {
  const { code, lines } = await doctor({ crid: { listen: suite.crid.socket } });
  assert.deepEqual([code, faultsIn(lines)], [0, []]);
  const { socket, config } = suite.stack.containerd;
  const expected = [
    new RegExp(`^ok configuration ${config}, .*doctor.toml$`),
    new RegExp(`^ok containerd v?2\\S+ at ${socket}, namespace k8s.io$`),
    /^ok snapshotter overlayfs loaded$/,
    /^ok handler runc io.containerd.runc.v2, sandboxer pause, cgroup driver cgroupfs$/,
    new RegExp(`^ok network ${suite.stack.bridge.name} plugins bridge, host-local, portmap$`),
    /^ok cgroups v[12], driver cgroupfs, which the kubelet has to use too$/,
    /^ok kernel .*seccomp/,
    new RegExp(`^ok socket crid \\S+ answers on ${suite.crid.socket}$`),
  ];
  for (const pattern of expected)
    assert.ok(
      lines.some((line) => pattern.test(line)),
      `${pattern}: ${lines.join('\n')}`,
    );
});

test('what containerd lacks for a snapshotter is a warning', async () => {
  const native = { runtime_type: 'io.containerd.runc.v2', snapshotter: 'native' };
  const { code, lines } = await doctor({
    crid: { listen: suite.crid.socket },
    runtime: { containerd: { runtimes: { native } } },
  });
  const warnings = lines.filter((line) => line.startsWith('warning snapshotter'));
  assert.deepEqual([code, faultsIn(lines), warnings.length], [0, [], 1], lines.join('\n'));
  assert.match(warnings[0] ?? '', /^warning snapshotter native unpack_config .* snapshotter = "native"$/);
});

test('each problem that keeps pods from running is a fault, and the other checks still run', async () => {
  const missing = join(suite.crid.dir, 'nothing');
  const { code, lines } = await doctor({
    crid: { listen: join(suite.crid.dir, 'no.sock') },
    images: { snapshotter: 'zfs2' },
    runtime: {
      cni: { bin_dirs: [missing] },
      containerd: {
        runtimes: {
          kata: { runtime_type: 'io.containerd.absent.v9' },
          vm: { runtime_type: 'io.containerd.runc.v2', sandboxer: 'kuasar' },
        },
      },
    },
  });
  const [handler, ...others] = faultsIn(lines).sort();
  assert.equal(code, 1);
  assert.match(handler ?? '', /^fault handler kata .*absent/);
  assert.deepEqual(others, [
    'fault handler vm containerd has no sandbox controller "kuasar"',
    `fault network ${suite.stack.bridge.name} no bridge, no host-local, no portmap in ${missing}`,
    'fault snapshotter zfs2 containerd has no snapshotter with this name',
  ]);
  assert.ok(lines.includes(`warning socket ${join(suite.crid.dir, 'no.sock')} does not exist: crid does not run`));
});

test('a containerd that does not answer is one fault', async () => {
  const address = join(suite.crid.dir, 'no-containerd.sock');
  const { code, lines } = await doctor({ crid: { listen: suite.crid.socket }, grpc: { address } });
  assert.deepEqual([code, faultsIn(lines).length], [1, 1]);
  assert.ok(faultsIn(lines)[0]?.startsWith(`fault containerd ${address}: `), lines.join('\n'));
});
