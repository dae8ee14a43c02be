import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flagPlaces, KUBELET_KEYS, withEndpoints, withLine, yamlPlaces } from '../../../src/migrate/endpoint-text.js';

const CRID = 'unix:///run/crid/crid.sock';
const flags = (text: string): string => withEndpoints(text, flagPlaces(text), CRID);
const yaml = (text: string): string => withEndpoints(text, yamlPlaces(text, KUBELET_KEYS), CRID);

test('the flag gets a new value in any form, and comments stay', () => {
  assert.equal(
    flags(`# --container-runtime-endpoint=old
KUBELET_KUBEADM_ARGS="--container-runtime-endpoint=unix:///a --node-ip=1 --image-service-endpoint unix:///b"
ExecStart=/usr/bin/kubelet \\
  --container-runtime-endpoint '/c' --container-runtime=remote
`),
    `# --container-runtime-endpoint=old
KUBELET_KUBEADM_ARGS="--container-runtime-endpoint=${CRID} --node-ip=1 --image-service-endpoint ${CRID}"
ExecStart=/usr/bin/kubelet \\
  --container-runtime-endpoint '${CRID}' --container-runtime=remote
`,
  );
});

test('a flag whose value is a variable is refused', () => {
  assert.throws(() => flagPlaces('--container-runtime-endpoint=$SOCKET'), /no literal value/);
});

test('keys of a YAML file get a new value, and everything else stays', () => {
  assert.equal(
    yaml(`# kubelet
---
apiVersion: kubelet.config.k8s.io/v1beta1
containerRuntimeEndpoint: "" # default
imageServiceEndpoint:
nested:
  containerRuntimeEndpoint: unix:///x
`),
    `# kubelet
---
apiVersion: kubelet.config.k8s.io/v1beta1
containerRuntimeEndpoint: "${CRID}" # default
imageServiceEndpoint: ${CRID}
nested:
  containerRuntimeEndpoint: unix:///x
`,
  );
  assert.equal(yaml("containerRuntimeEndpoint: '/a'\r\n"), `containerRuntimeEndpoint: '${CRID}'\r\n`);
  assert.equal(withLine('kind: x', 'containerRuntimeEndpoint', CRID), `kind: x\ncontainerRuntimeEndpoint: ${CRID}\n`);
});

test('YAML that lines cannot be edited in is refused', () => {
  for (const [text, reason] of [
    ['{"kind": "KubeletConfiguration"}', /no YAML in block style/],
    ['# a\n---\n{}\n', /no YAML in block style/],
    ['a: 1\n---\nb: 2\n', /several documents/],
    ['---\na: 1\n...\n', /several documents/],
    ['containerRuntimeEndpoint: a\ncontainerRuntimeEndpoint: b\n', /more than once/],
    ['containerRuntimeEndpoint: >\n  a\n', /not on one line/],
    ['containerRuntimeEndpoint:\n  a\n', /not on one line/],
    ['containerRuntimeEndpoint: *anchor\n', /not on one line/],
  ] as const) {
    assert.throws(() => yamlPlaces(text, KUBELET_KEYS), reason, text);
  }
});
