import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderGoTemplate } from '../../../src/runtime/go-template.js';

const data = { PodCIDR: '10.0.0.0/24', PodCIDRRanges: ['10.0.0.0/24', 'fd00::/64'], Routes: ['0.0.0.0/0', '::/0'] };

test('a typical template', () => {
  const template = `{
  "subnet": "{{ .PodCIDR }}",
  "ranges": [{{range $i, $range := .PodCIDRRanges}}{{if $i}}, {{end}}[{"subnet": "{{$range}}"}]{{end}}],
  "routes": [{{- range $i, $route := .Routes -}} {{if $i}},{{else}}{{/* none */}}{{end}}{"dst": "{{ . }}"}{{- end -}} ]
}`;
  assert.deepEqual(JSON.parse(renderGoTemplate(template, data)), {
    subnet: '10.0.0.0/24',
    ranges: [[{ subnet: '10.0.0.0/24' }], [{ subnet: 'fd00::/64' }]],
    routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
  });
});

test('an unsupported action is refused by name', () => {
  for (const [template, action] of [
    ['{{ .Nothing }}', '.Nothing'],
    ['{{ printf "%s" .PodCIDR }}', 'printf "%s" .PodCIDR'],
    ['{{range .Routes}}', 'range .Routes'],
    ['{{end}}', 'end'],
  ] as const) {
    assert.throws(() => renderGoTemplate(template, data), {
      code: 'FAILED_PRECONDITION',
      message: `template: {{${action}}} is not supported`,
    });
  }
});
