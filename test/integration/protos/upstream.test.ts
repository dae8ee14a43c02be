import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { GO_MAP_FIELDS } from '../../../src/state/go-json.js';
import { compareContracts, contractOf, type Contract } from '../../unit/protos/contract.js';
import { ownDescriptors, RELEASES, upstreamDescriptors } from './upstream.js';

const CRI_RPCS = 46;
const rpcsOfCri = (contract: Contract): string[] =>
  [...contract.keys()].filter((key) => key.startsWith('rpc runtime.v1.')).sort();

for (const release of RELEASES) {
  describe(`the protos against ${release.name}`, () => {
    let ours: Contract;
    let upstream: Contract;
    before(async () => {
      ours = new Map([...contractOf(await ownDescriptors())].filter(([key]) => !key.includes(' crid.v1.')));
      upstream = contractOf(await upstreamDescriptors(release));
    });

    if (release.isOwn) {
      test('every declaration is the same upstream', (t) => {
        const { wrong, lacking } = compareContracts(ours, upstream);
        t.diagnostic(`${ours.size} facts here, ${upstream.size} upstream, ${lacking.length} of them not declared here`);
        for (const line of outline(lacking)) t.diagnostic(`not declared here: ${line}`);
        assert.deepEqual(wrong, []);
      });

      test(`all ${CRI_RPCS} RPCs of CRI are declared, and all of its messages whole`, () => {
        assert.equal(rpcsOfCri(upstream).length, CRI_RPCS);
        assert.deepEqual(rpcsOfCri(ours), rpcsOfCri(upstream));
        const { lacking } = compareContracts(ours, upstream);
        assert.deepEqual(
          lacking.filter((line) => line.split(' ')[1]?.startsWith('runtime.v1.')),
          [],
        );
      });
    } else {
      test('no declaration is different upstream', () => {
        const shared = new Map([...ours].filter(([key]) => upstream.has(key)));
        assert.ok(shared.size > 1_000);
        assert.deepEqual(compareContracts(shared, upstream).wrong, []);
      });
    }
  });
}

test("the maps of CRI's configs are those that the stored JSON lists", async () => {
  const set = await ownDescriptors();
  const contract = contractOf(set);
  const roots = ['PodSandboxConfig', 'ContainerConfig', 'ContainerResources'].map((name) => `.runtime.v1.${name}`);
  const { maps, others } = fieldNames(contract, roots);
  assert.deepEqual([...maps].sort(), [...GO_MAP_FIELDS].sort());
  assert.deepEqual(
    [...maps].filter((name) => others.has(name)),
    [],
  );
});

/** Returns the names of map fields and of other fields in the messages that are reachable from `roots`. */
function fieldNames(contract: Contract, roots: readonly string[]): { maps: Set<string>; others: Set<string> } {
  const [maps, others, seen] = [new Set<string>(), new Set<string>(), new Set<string>()];
  const queue = [...roots];
  for (let message = queue.pop(); message !== undefined; message = queue.pop()) {
    if (seen.has(message)) continue;
    seen.add(message);
    for (const [key, fact] of contract) {
      if (!key.startsWith(`field ${message.slice(1)} `)) continue;
      const [, type = '', name = ''] = fact.split(' ');
      const isMap = contract.get(`message ${type.slice(1)}`)?.endsWith('map entry') === true;
      (isMap ? maps : others).add(name);
      if (!isMap && contract.has(`message ${type.slice(1)}`)) queue.push(type);
    }
  }
  return { maps, others };
}

/**
 * Returns the missing declarations, without the members of messages, enums and services that are missing themselves.
 */
function outline(lacking: readonly string[]): string[] {
  const wholes = lacking.flatMap((line) => /^(?:message|enum|service) ([^:]+):/.exec(line)?.[1] ?? []);
  return lacking.filter((line) => {
    const name = line.split(' ')[1]!;
    return !wholes.some(
      (whole) => name.startsWith(`${whole}.`) || name.startsWith(`${whole}/`) || isField(line, whole),
    );
  });
}

const isField = (line: string, message: string): boolean => line.startsWith(`field ${message} `);
