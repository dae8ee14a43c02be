import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import {
  Container,
  ContainerUpdate,
  CreateContainerRequest,
  CreateContainerResponse,
  OwningPlugins,
} from '../../../generated/nri/v1alpha1/api.js';
import { CriError } from '../../../src/base/errors.js';
import { applyAdjustment } from '../../../src/nri/adjust/apply-adjustment.js';
import { mergeCreate } from '../../../src/nri/adjust/merge-create.js';
import type { OciSpec } from '../../../src/spec/oci.js';
import { specToJson } from '../../../src/spec/spec-json.js';
import {
  CONFLICTS,
  createRequest,
  DIFFERENT,
  MERGED,
  OTHER_CONFLICTS,
  richSpec,
  SINGLE,
  type Case,
} from '../../unit/nri/adjustments.js';
import { HOST, OPTIONS } from '../../unit/spec/inputs.js';
import { differences } from '../spec/spec-differences.js';
import { CONTAINERD, NRI, runUpstream, type UpstreamResult } from './upstream-program.js';

/** The same adjustments on the same spec, by crid and by upstream's own code. */

const ALL: readonly Case[] = [...SINGLE, ...MERGED, ...DIFFERENT, ...CONFLICTS, ...OTHER_CONFLICTS];
const theirs = new Map<Case, UpstreamResult>();

before(async () => {
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  const results = await runUpstream(
    ALL.map(({ name, answers }) => ({
      name,
      spec: specToJson(richSpec()),
      request: base64(CreateContainerRequest.encode(createRequest(richSpec())).finish()),
      answers: answers.map(({ plugin, response }) => ({
        plugin,
        response: base64(CreateContainerResponse.encode(response).finish()),
      })),
    })),
  );
  for (const [index, result] of results.entries()) theirs.set(ALL[index]!, result);
});

for (const one of [...SINGLE, ...MERGED, ...DIFFERENT]) {
  test(`${one.name}: the spec is that of NRI ${NRI} on containerd ${CONTAINERD}, but for known differences`, () => {
    const merged = mergeCreate(createRequest(richSpec()));
    for (const { plugin, response } of one.answers) merged.add(response, plugin);
    const { adjust, update, owners } = merged.result();
    const spec = JSON.parse(
      specToJson(applyAdjustment(richSpec(), adjust, { host: HOST, options: OPTIONS, cdi: [] })),
    ) as OciSpec;
    const upstream = theirs.get(one)!;
    assert.equal(upstream.error, undefined);
    const seen = compact(merged.request().container);
    const found = differences(
      { spec: compact(spec), seen },
      { spec: compact(upstream.spec), seen: compact(Container.decode(bytes(upstream.container))) },
    );
    assert.deepEqual(
      // Upstream does not show changes of RDT to the next plugin.
      found.filter((line) => !line.startsWith('seen.linux.rdt.')),
      one.differs ?? [],
    );
    const order = ({ mounts, process }: OciSpec): unknown => [
      mounts.map(({ destination }) => destination),
      process.env,
    ];
    if ((one.differs ?? []).length === 0) assert.deepEqual(order(spec), order(upstream.spec as OciSpec));
    assert.deepEqual(
      { updates: update.map(compact), owners: compact(owners) },
      {
        updates: (upstream.updates ?? []).map((text) => compact(ContainerUpdate.decode(bytes(text)))),
        owners: compact(OwningPlugins.decode(bytes(upstream.owners))),
      },
    );
  });
}

for (const one of [...CONFLICTS, ...OTHER_CONFLICTS]) {
  test(`${one.name}: a conflict has the words of NRI ${NRI}`, () => {
    const merged = mergeCreate(createRequest(richSpec()));
    assert.throws(
      () => {
        for (const { plugin, response } of one.answers) merged.add(response, plugin);
      },
      (thrown) => {
        assert.equal(CriError.from(thrown).message, theirs.get(one)?.error?.trimEnd());
        return true;
      },
    );
  });
}

test(`the message of a container is the one that containerd ${CONTAINERD} makes of its spec`, () => {
  const ours = createRequest(richSpec()).container!;
  const { args, env, mounts, hooks, rlimits, user, linux } = Container.decode(bytes(theirs.get(SINGLE[0]!)?.before));
  assert.deepEqual(compact({ ...ours }), compact({ ...ours, args, env, mounts, hooks, rlimits, user, linux }));
});

const bytes = (text: string | undefined): Buffer => Buffer.from(text ?? '', 'base64');

/** Drops empty members: JSON in Go omits them, and protobuf does not distinguish them. */
function compact(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(compact);
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value)
    .map(([name, member]) => [name, compact(member)] as const)
    .filter(([, member]) => !isEmpty(member));
  return Object.fromEntries(members);
}

const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === '' ||
  (typeof value === 'object' && Object.keys(value).length === 0);
