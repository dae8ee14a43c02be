import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultConfig } from '../../../src/config/schema.js';
import { CriError } from '../../../src/base/errors.js';
import { refuseRdtClass } from '../../../src/containers/rdt-class.js';

type Annotations = Readonly<Record<string, string>>;

/** Returns the class that is refused for the container `main`, or undefined. */
function refused(annotations: Annotations, podAnnotations: Annotations, ignores = false): string | undefined {
  const config = defaultConfig();
  config.runtime.containerd.ignore_rdt_not_enabled_errors = ignores;
  try {
    refuseRdtClass({ config }, 'main', annotations, podAnnotations);
    return undefined;
  } catch (thrown) {
    const { code, message } = CriError.from(thrown);
    assert.equal(code, 'FAILED_PRECONDITION');
    return /^config\.annotations: RDT class "(.*)" is refused, because/.exec(message)?.[1];
  }
}

const POD = { 'rdt.resources.beta.kubernetes.io/pod': 'gold' };
const OF_MAIN = { 'rdt.resources.beta.kubernetes.io/container.main': 'silver' };

test('an RDT class is refused by name; the annotation of the container wins, then that of the pod for it', () => {
  assert.deepEqual(
    [
      refused({}, POD),
      refused({}, { ...POD, ...OF_MAIN }),
      refused({ 'io.kubernetes.cri.rdt-class': 'bronze' }, { ...POD, ...OF_MAIN }),
      refused({}, { 'rdt.resources.beta.kubernetes.io/pod': '' }),
    ],
    ['gold', 'silver', 'bronze', ''],
  );
});

test('no class, a class of another container, and a class that is to be ignored are not refused', () => {
  assert.deepEqual(
    [
      refused({}, {}),
      refused({}, { 'rdt.resources.beta.kubernetes.io/container.other': 'gold' }),
      refused({}, POD, true),
    ],
    [undefined, undefined, undefined],
  );
});
