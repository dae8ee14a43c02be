import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { stringify } from 'smol-toml';
import { ContainerState, NamespaceMode, PodSandboxState } from '../../../generated/runtime/v1/api.js';
import { MAX_CONFIG_BYTES } from '../../../src/state/config-size.js';
import { canonicalJson, toGoJson } from '../../../src/state/go-json.js';
import { freePort } from '../../../tools/stack/ports.js';
import { projectRoot } from '../../../tools/stack/project.js';
import { containerdClients, recordSandbox } from '../../harness/containerd-clients.js';
import type { Crid } from '../../harness/crid.js';
import { assertLeavesNothing, leaks, NAMESPACE } from '../../harness/leaks.js';
import { containerConfig, podConfig, removeAllPods, runPod } from '../../harness/pod.js';
import type { TestStack } from '../../harness/test-stack.js';
import { assertFails, startSuite } from '../rpc/suite.js';

const MIB = 1 << 20;
const DOCTOR_LIMIT_MS = 60_000;
/** Below the limit of exec(2) for one variable. */
const VALUE_LENGTH = 120_000;

/** Returns a container's config whose JSON has the maximum size. Most of it is U+0001, six bytes each. */
function largestConfig(command: string[]): ReturnType<typeof containerConfig> {
  const withValues = (lengths: readonly number[], tail = ''): ReturnType<typeof containerConfig> =>
    containerConfig({
      name: 'large',
      command,
      envs: lengths.map((length, index) => ({
        key: `V${index}`,
        value: Buffer.from('\u0001'.repeat(length) + (index === 0 ? tail : '')),
      })),
    });
  const bytesOf = (config: object): number => Buffer.byteLength(canonicalJson(toGoJson(config)));
  const lengths = Array.from({ length: Math.floor(MAX_CONFIG_BYTES / (6 * VALUE_LENGTH)) }, () => VALUE_LENGTH);
  // The remainder is smaller than one value. Another value fills it, and up to five bytes of text the rest.
  const room = MAX_CONFIG_BYTES - bytesOf(withValues([...lengths, 1]));
  const config = withValues([...lengths, 1 + Math.floor(room / 6)], 'x'.repeat(room % 6));
  assert.equal(bytesOf(config), MAX_CONFIG_BYTES);
  return config;
}

describe('records at the bounds of what containerd can send', { timeout: 300_000 }, () => {
  let metrics: string;

  const suite = startSuite({
    async crid() {
      metrics = `127.0.0.1:${await freePort()}`;
      return { config: { crid: { metrics_address: metrics } } };
    },
  });

  const unreadableCount = async (): Promise<string | undefined> =>
    /^crid_unreadable_records (\d+)$/m.exec(await (await fetch(`http://${metrics}/metrics`)).text())?.[1];

  it('a container with the largest config fails its start with a long message, and is listed, read back and removed', async () => {
    const pod = await runPod(suite.crid, suite.stack);
    const command = ['/no', ...Array.from({ length: 40 }, () => 'a'.repeat(98))].join('/');
    const config = largestConfig([command]);
    const request = { pod_sandbox_id: pod.id, sandbox_config: pod.config };
    const { container_id: id } = await suite.crid.runtime.createContainer({ ...request, config });
    await assertFails(
      suite.crid.runtime.startContainer({ container_id: id }),
      'INVALID_ARGUMENT',
      'config.command',
      command,
    );
    const statusNow = async () => (await suite.crid.runtime.containerStatus({ container_id: id })).status;
    const failed = await statusNow();
    assert.deepEqual([failed?.state, failed?.reason], [ContainerState.CONTAINER_EXITED, 'StartError']);
    await suite.crid.restart();
    await suite.crid.settled();
    assert.deepEqual(await statusNow(), failed);
    const { containers } = await suite.crid.runtime.listContainers({});
    assert.deepEqual([containers.map((container) => container.id), await unreadableCount()], [[id], '0']);
    await suite.crid.runtime.removeContainer({ container_id: id });
    await pod.remove();
    await suite.assertNothingLeft();
  });

  it('a config of one byte more is refused by its largest field, and nothing is created', async () => {
    const pod = await runPod(suite.crid, suite.stack);
    const withPod = await leaks(suite.stack);
    const config = largestConfig(['true']);
    const beyond = { ...config, args: ['x'] };
    const request = { pod_sandbox_id: pod.id, sandbox_config: pod.config, config: beyond };
    await assertFails(
      suite.crid.runtime.createContainer(request),
      'INVALID_ARGUMENT',
      'config.envs: ',
      `${MAX_CONFIG_BYTES}`,
    );
    const labels = Object.fromEntries(Array.from({ length: 1100 }, (_, index) => [`k${index}`, 'x'.repeat(4000)]));
    const large = { config: await podConfig(suite.stack, { labels }) };
    await assertFails(suite.crid.runtime.runPodSandbox(large), 'INVALID_ARGUMENT', 'config.labels: ');
    await assertLeavesNothing(suite.stack, withPod);
    await pod.remove();
  });

  it('serves beside records that cannot be sent together or at all; it names and counts them, and all other calls work', async () => {
    await suite.crid.stop();
    const others = await largeRecords(suite.stack);
    const kept = join(suite.stack.containerd.root, 'io.containerd.grpc.v1.cri', 'containers', others.containerId);
    try {
      await mkdir(kept, { recursive: true });
      await suite.crid.start();
      await suite.crid.settled();

      const { items } = await suite.crid.runtime.listPodSandbox({});
      assert.deepEqual(items.map(({ id }) => id).sort(), others.podIds);
      assert.ok(items.every(({ state }) => state === PodSandboxState.SANDBOX_NOTREADY));
      const expected = [others.containerId.slice(0, 6), others.imageDigest.slice(0, 'sha256:'.length + 6)];
      const { info } = await suite.crid.runtime.status({ verbose: true });
      const { records } = JSON.parse(info['unreadableRecords'] ?? '') as { records: { id: string }[] };
      const logged = (await suite.crid.logLines()).filter(({ msg }) => /left alone$/.test(String(msg)));
      const warnings = await doctorWarnings(suite.stack, suite.crid);
      assert.deepEqual(
        [
          records.map(({ id }) => id),
          await unreadableCount(),
          expected.map((id) => logged.some((line) => line['id'] === id)),
          expected.map((id) => warnings.some((line) => line.includes(`"${id}" cannot be read`))),
        ],
        [expected, '2', [true, true], [true, true]],
      );

      const pod = await runPod(suite.crid, suite.stack);
      const { stdout } = await pod.exec(await pod.run(), ['echo', 'works']);
      const { images } = await suite.crid.images.listImages({});
      assert.deepEqual([stdout, images.length > 0], ['works\n', true]);
      await pod.remove();
      // The record's directory must not be swept.
      assert.ok((await stat(kept)).isDirectory());
      await removeAllPods(suite.crid);
    } finally {
      await rm(kept, { recursive: true, force: true });
      await others.remove();
    }
    await suite.crid.restart();
    assert.equal(await unreadableCount(), '0');
    await suite.assertNothingLeft();
  });
});

/** Returns the lines of `crid doctor` about records. */
async function doctorWarnings(stack: TestStack, crid: Crid): Promise<string[]> {
  const program = process.env['CRID_TEST_PROGRAM'] ?? join(projectRoot, 'bin', 'crid');
  const file = join(crid.dir, 'doctor.toml');
  await writeFile(file, stringify({ crid: { listen: crid.socket } }));
  const args = ['doctor', '--containerd-config', stack.containerd.config, '--config', file];
  return new Promise((resolve, reject) => {
    execFile(program, args, { timeout: DOCTOR_LIMIT_MS }, (error, stdout) => {
      if (error && typeof error.code !== 'number') return reject(error);
      resolve(stdout.split('\n').filter((line) => /^warning +records /.test(line)));
    });
  });
}

interface LargeRecords {
  readonly podIds: readonly string[];
  /** A record that is too large to be sent. The record of the image with digest `imageDigest` is too. */
  readonly containerId: string;
  readonly imageDigest: string;
  remove(): Promise<void>;
}

const newId = (): string => randomBytes(32).toString('hex');

/**
 * Creates records directly in containerd: pods and images that are too large for one list together, and a container and
 * an image that are too large by themselves.
 */
async function largeRecords(stack: TestStack): Promise<LargeRecords> {
  const clients = containerdClients(stack.containerd.socket, NAMESPACE);
  const { sandboxes, containers, images } = clients;
  const tooLarge = { details: /larger than max/ };

  const podIds = Array.from({ length: 8 }, newId).sort();
  for (const id of podIds) {
    const annotations = { note: '\u0001'.repeat(400_000) };
    const security_context = { namespace_options: { network: NamespaceMode.NODE } };
    const config = await podConfig(stack, { annotations, linux: { security_context } });
    await recordSandbox(clients, id, config);
  }
  await assert.rejects(sandboxes.list({}), tooLarge);

  const containerId = newId();
  const any = (bytes: number) => ({ type_url: 'test', value: Buffer.alloc(bytes) });
  await containers.create({
    container: {
      id: containerId,
      labels: { 'io.cri-containerd.kind': 'container' },
      runtime: { name: 'io.containerd.runc.v2' },
      spec: any(16 * MIB - 4096),
    },
  });
  const grown = { id: containerId, extensions: { more: any(8192) } };
  await assert.rejects(containers.update({ container: grown, update_mask: ['extensions.more'] }), tooLarge);
  await assert.rejects(containers.get({ id: containerId }), tooLarge);

  const labelsOf = (prefix: string) =>
    Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`${prefix}${index}`, 'x'.repeat(4000)]));
  const names = Array.from({ length: 6 }, (_, index) => `large.test/image:${index}`);
  const digests = names.map(() => `sha256:${newId()}`);
  const target = (index: number) => ({
    media_type: 'application/vnd.oci.image.manifest.v1+json',
    digest: digests[index] ?? '',
    size: 2n,
  });
  for (const [index, name] of names.entries()) {
    await images.create({ image: { name, labels: labelsOf('a'), target: target(index) } });
  }
  await assert.rejects(images.list({}), tooLarge);
  for (const prefix of ['b', 'c', 'd', 'e']) {
    const image = { name: names[0] ?? '', labels: labelsOf(prefix), target: target(0) };
    const update_mask = Object.keys(image.labels).map((key) => `labels.${key}`);
    await images
      .update({ image, update_mask })
      .catch((thrown: unknown) => assert.match(String(thrown), tooLarge.details));
  }
  await assert.rejects(images.get({ name: names[0] ?? '' }), tooLarge);

  return {
    podIds,
    containerId,
    imageDigest: digests[0] ?? '',
    async remove() {
      try {
        await containers.delete({ id: containerId });
        for (const name of names) await images.delete({ name });
        const { list } = await sandboxes.list({ filters: [] }).catch(() => ({ list: [] }));
        for (const id of podIds) {
          if (list.some(({ sandbox_id }) => sandbox_id === id)) await sandboxes.delete({ sandbox_id: id });
        }
      } finally {
        clients.close();
      }
    },
  };
}
