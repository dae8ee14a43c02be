import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { Metadata } from 'nice-grpc';
import { until } from '../../../tools/stack/wait.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { podConfig, pullImage, removeAllPods, runPod } from '../../harness/pod.js';
import { SHARED_PIDS } from '../../harness/sandboxer.js';
import { testStack, type TestStack } from '../../harness/test-stack.js';

/** Spans as an OTLP receiver gets them over HTTP, in JSON. */

interface Told {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly status?: { readonly code?: number; readonly message?: string };
  readonly attributes: readonly { readonly key: string; readonly value: { readonly stringValue?: string } }[];
}

const LIMIT_MS = 20_000;
const CALLER = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' };
const [SERVER, CLIENT] = [2, 3];

let stack: TestStack;
let crid: Crid;
let receiver: Server;
const spans: Told[] = [];
const services = new Set<string>();

before(async () => {
  receiver = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (request.url === '/v1/traces') take(Buffer.concat(chunks).toString());
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  stack = await testStack();
  crid = await startCrid(stack, {
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`,
      OTEL_BSP_SCHEDULE_DELAY: '100',
      OTEL_SERVICE_NAME: 'crid-of-the-test',
    },
  });
  await pullImage(crid);
});

after(async () => {
  await removeAllPods(crid);
  await crid.stop();
  crid.close();
  receiver.closeAllConnections();
  receiver.close();
});

function take(body: string): void {
  type Message = {
    resourceSpans: {
      resource: { attributes: Told['attributes'] };
      scopeSpans: { spans: Told[] }[];
    }[];
  };
  for (const { resource, scopeSpans } of (JSON.parse(body) as Message).resourceSpans) {
    services.add(resource.attributes.find(({ key }) => key === 'service.name')?.value.stringValue ?? '');
    for (const scope of scopeSpans) spans.push(...scope.spans);
  }
}

const attribute = (span: Told, name: string): string | undefined =>
  span.attributes.find(({ key }) => key === name)?.value.stringValue;

const rootOf = (rpc: string, more: (span: Told) => boolean = () => true): Promise<Told> =>
  until(`the span of ${rpc}`, LIMIT_MS, () =>
    Promise.resolve(spans.find((span) => span.name === `runtime.v1.RuntimeService/${rpc}` && more(span))),
  );

test('a call is a span below its caller’s, each step one below it, each call to containerd one below that', async () => {
  const headers = Metadata({ traceparent: `00-${CALLER.traceId}-${CALLER.spanId}-01` });
  const config = await podConfig(stack, SHARED_PIDS);
  const { pod_sandbox_id: id } = await crid.runtime.runPodSandbox({ config }, { metadata: headers });
  const root = await rootOf('RunPodSandbox');
  assert.deepEqual(
    [root.traceId, root.parentSpanId, root.kind, attribute(root, 'sandbox.id'), [...services]],
    [CALLER.traceId, CALLER.spanId, SERVER, id, ['crid-of-the-test']],
  );
  const below = (parent: Told): Told[] => spans.filter((span) => span.parentSpanId === parent.spanId);
  const steps = below(root).map(({ name }) => name);
  for (const name of ['add network', 'create pause task']) {
    assert.ok(steps.includes(`run pod sandbox: ${name}`), `${name} among ${steps.join(', ')}`);
  }
  const task = below(root).find(({ name }) => name === 'run pod sandbox: create pause task')!;
  assert.deepEqual(
    below(task)
      .map(({ name, kind, traceId }) => [name, kind, traceId])
      .filter(([name]) => name === 'containerd tasks.create'),
    [['containerd tasks.create', CLIENT, CALLER.traceId]],
  );
  // The log of the call contains the trace id.
  assert.ok(
    (await crid.logLines()).some((line) => line['traceId'] === CALLER.traceId && line['rpc'] === 'RunPodSandbox'),
  );
});

test('spans name the container and its image, and show a failure', async () => {
  const pod = await runPod(crid, stack);
  const container = await pod.create();
  const made = await rootOf('CreateContainer', (span) => attribute(span, 'container.id') === container);
  assert.deepEqual(
    [attribute(made, 'sandbox.id'), attribute(made, 'image.ref'), made.parentSpanId ?? ''],
    [pod.id, 'docker.io/library/busybox:latest', ''],
  );
  await assert.rejects(crid.runtime.startContainer({ container_id: 'nobody' }));
  const failed = await rootOf('StartContainer', (span) => attribute(span, 'container.id') === 'nobody');
  assert.deepEqual(failed.status, { code: 2, message: 'container "nobody" not found' });
});
