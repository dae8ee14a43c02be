import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ContainerAdjustment } from '../../../generated/nri/v1alpha1/api.js';
import { CriError } from '../../../src/base/errors.js';
import { checkAdjustment, type AdjustFacts } from '../../../src/nri/adjust/check-adjustment.js';
import { NO_FEATURES } from '../../../src/spec/types.js';
import { HOST, OPTIONS, type Partially } from '../spec/inputs.js';

type Adjust = Partially<typeof ContainerAdjustment>;

const facts = (rdt: boolean, resctrl: boolean): AdjustFacts => ({
  ...{ host: HOST, options: OPTIONS, podNamespaces: undefined, resctrl },
  handler: {
    cgroupDriver: 'cgroupfs',
    runtimeFeatures: { ...NO_FEATURES, rdt: { enabled: rdt, schemata: rdt, monitoring: rdt } },
  },
});

function problem(adjust: Adjust, of: AdjustFacts): string {
  try {
    checkAdjustment(ContainerAdjustment.fromPartial(adjust), of);
    return 'ok';
  } catch (thrown) {
    return CriError.from(thrown).message;
  }
}

test('RDT is refused by its field if the runtime or the node does not have it, unless it is only cleared', () => {
  const RDT: readonly [field: string, adjust: Adjust][] = [
    ['resources.rdt_class', { linux: { resources: { rdt_class: { value: 'gold' } } } }],
    ['rdt.clos_id', { linux: { rdt: { clos_id: { value: 'gold' } } } }],
    ['rdt.schemata', { linux: { rdt: { schemata: { value: ['L3:0=f'] } } } }],
    ['rdt.enable_monitoring', { linux: { rdt: { enable_monitoring: { value: true } } } }],
  ];
  for (const [field, adjust] of RDT)
    assert.deepEqual(
      [facts(false, true), facts(true, false), facts(true, true)].map((of) => problem(adjust, of)),
      [
        `adjust.linux.${field}: the OCI runtime does not support it`,
        `adjust.linux.${field}: this node has no resctrl file system`,
        'ok',
      ],
    );
  const cleared: Adjust = { linux: { resources: { rdt_class: { value: '' } }, rdt: { remove: true } } };
  assert.equal(problem(cleared, facts(false, false)), 'ok');
});
