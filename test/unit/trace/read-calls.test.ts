import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { TracedCall } from '../../../generated/crid/v1/traces.js';
import {
  ListPodSandboxResponse,
  PodSandboxConfig,
  RunPodSandboxRequest,
  RunPodSandboxResponse,
  RuntimeServiceDefinition,
  StartContainerResponse,
} from '../../../generated/runtime/v1/api.js';
import { CriError } from '../../../src/base/errors.js';
import { createLogger } from '../../../src/base/log.js';
import { withCriClient, type CriClient } from '../../../src/client/cri-client.js';
import { serve, type CriServer } from '../../../src/cri/server.js';
import { implement } from '../../../src/cri/service.js';
import { isProbe, isUnrecorded, tracesService } from '../../../src/cri/traces-service.js';
import { createOperations } from '../../../src/operation/operation.js';
import { trace, type TraceOptions } from '../../../src/trace/trace.js';
import { createCallRecorder, type CallRecorder } from '../../../src/tracing/call-recorder.js';

const KEEP = 5;
const OPTIONS: TraceOptions = { last: 20, follow: false, reads: false, json: false };

let folder: string;
let recorder: CallRecorder;
let server: CriServer;
/** Ends the step of the running pods. */
let goOn: () => void;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crid-traces-'));
  const log = createLogger('error');
  log.level = 'silent';
  const operations = createOperations({ log });
  recorder = createCallRecorder({ keep: KEEP, isRead: isUnrecorded, isFrequent: isProbe, queueLimit: 50 });
  const waiting = new Promise<void>((resolve) => (goOn = resolve));
  const runtime = implement(RuntimeServiceDefinition, {
    listPodSandbox: () => ListPodSandboxResponse.fromPartial({}),
    startContainer: ({ container_id }) => {
      if (container_id === 'gone') throw new CriError('NOT_FOUND', 'container "gone" not found');
      return StartContainerResponse.fromPartial({});
    },
    runPodSandbox: async ({ config }, caller) => {
      const name = config?.metadata?.name ?? '';
      await operations.run({
        ...{ kind: 'run pod sandbox', subject: name, key: name, fingerprint: name, limitMs: 60_000, caller },
        work: async (steps) => {
          await steps.step('first', async () => undefined);
          await steps.step('second', () => (name === 'slow' ? waiting : Promise.resolve()));
        },
      });
      return RunPodSandboxResponse.fromPartial({ pod_sandbox_id: `id-of-${name}` });
    },
  });
  const services = [runtime, tracesService(recorder)];
  server = await serve({ listen: `${folder}/crid.sock`, socketGid: 0, services, log, tracer: recorder });
});
afterEach(async () => {
  goOn();
  recorder.close();
  await server.stop(1_000);
  await rm(folder, { recursive: true });
});

const withClient = <T>(work: (client: CriClient) => Promise<T>): Promise<T> =>
  withCriClient(`${folder}/crid.sock`, work);

const run = ({ runtime }: CriClient, name: string): Promise<unknown> =>
  runtime.runPodSandbox(
    RunPodSandboxRequest.fromPartial({
      config: PodSandboxConfig.fromPartial({ metadata: { name, namespace: 'default', uid: 'u' } }),
    }),
  );

/** Runs `crid trace` and returns its output. */
async function output(client: CriClient, options: Partial<TraceOptions> = {}): Promise<string> {
  let text = '';
  await trace(client, { ...OPTIONS, ...options }, { columns: 100, write: (more) => void (text += more) });
  return text;
}

const heads = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => /^\d{4}-/.test(line))
    .map(withoutTimes);
const withoutTimes = (line: string): string => line.replace(/^\S+ \S+ {2}/, '').replace(/ {2}>?[\d.]+ m?s$/, '');

test('the recorded calls with their steps, the oldest first, reads left out', () =>
  withClient(async (client) => {
    await run(client, 'web');
    await client.runtime.listPodSandbox({});
    await assert.rejects(client.runtime.startContainer({ container_id: 'gone' }));
    const text = await output(client);
    assert.deepEqual(heads(text), ['RunPodSandbox default/web', 'StartContainer gone']);
    assert.match(text, /├─ first .*\n└─ second /);
    assert.match(text, /\nNOT_FOUND: container "gone" not found\n/);
    assert.deepEqual(heads(await output(client, { last: 1 })), ['StartContainer gone']);
  }));

test('a call that runs is shown, and a call that joined it says so', () =>
  withClient(async (client) => {
    const [first, second] = [run(client, 'slow'), run(client, 'slow')];
    const text = await until(
      () => output(client),
      (shown) => heads(shown).length === 2 && shown.includes('wait for'),
    );
    assert.match(text, /RunPodSandbox default\/slow {2}>[\d.]+ m?s\n├─ first .*\n└─ second .*>[\d.]+ m?s .*▒\n/);
    assert.match(text, /└─ wait for the running run pod sandbox/);
    goOn();
    await Promise.all([first, second]);
    assert.doesNotMatch(await output(client), />|▒/);
  }));

test('calls of probes do not displace the others, and the spans of all calls are limited', () => {
  const own = createCallRecorder({ keep: 8, isRead: isUnrecorded, isFrequent: isProbe });
  const record = (method: string, spans = 0): void => {
    const span = own.start(`runtime.v1.RuntimeService/${method}`, { 'image.ref': 'x'.repeat(2000) }, () => undefined);
    for (let index = 0; index < spans; index++) span?.child('step', 'internal').end();
    span?.end();
  };
  const methods = (): string[] => own.calls().map(({ method }) => method.replace(/.*\//, ''));
  record('RunPodSandbox');
  for (let index = 0; index < 100; index++) record('ExecSync');
  assert.deepEqual(methods(), ['RunPodSandbox', 'ExecSync', 'ExecSync']);
  assert.ok(String(own.calls()[0]?.attributes['image.ref']).length < 600);
  const many = createCallRecorder({ keep: 1_000, isRead: isUnrecorded, isFrequent: isProbe });
  for (let index = 0; index < 60; index++) {
    const span = many.start('runtime.v1.RuntimeService/StopPodSandbox', {}, () => undefined);
    for (let child = 0; child < 2_500; child++) span?.child('step', 'internal').end();
  }
  assert.ok(many.calls().every(({ spans, leftOut }) => spans.length === 2_000 && leftOut === 500));
  assert.ok(many.calls().length > 10 && many.calls().length < 25, `${many.calls().length}`);
});

test('a follower that does not read is cut off, and only its own call fails', async () => {
  const readCalls = tracesService(recorder)['readCalls']?.handle as (
    request: unknown,
    caller: object,
  ) => AsyncIterable<unknown>;
  const slow = readCalls({ last: 0, follow: true, reads: false }, {})[Symbol.asyncIterator]();
  const record = (): void => recorder.start('runtime.v1.RuntimeService/StopPodSandbox', {}, () => undefined)?.end();
  const first = slow.next();
  record();
  await first;
  for (let index = 0; index < 100; index++) record();
  // A rejection that nobody handles would fail this test.
  await new Promise((resolve) => setTimeout(resolve, 50));
  const rest = async (): Promise<void> => {
    while ((await slow.next()).done !== true) continue;
  };
  await assert.rejects(rest(), { code: 'RESOURCE_EXHAUSTED', message: /more than 50 calls were not read/ });
});

test('only the last calls are kept', () =>
  withClient(async (client) => {
    for (let index = 0; index < KEEP + 3; index++) await run(client, `pod-${index}`);
    assert.deepEqual(
      heads(await output(client)),
      Array.from({ length: KEEP }, (_, index) => `RunPodSandbox default/pod-${index + 3}`),
    );
  }));

test('the calls of one pod: by name or id, also of a pod that is no longer listed', () =>
  withClient(async (client) => {
    await run(client, 'web');
    await run(client, 'other');
    await client.runtime.startContainer({ container_id: 'of-another-pod' });
    for (const pod of ['web', 'default/web', 'id-of-web', 'id-of-w']) {
      assert.deepEqual(heads(await output(client, { pod })), ['RunPodSandbox default/web'], pod);
    }
    assert.equal(await output(client, { pod: 'none' }), 'no call is recorded\n');
  }));

test('a follower gets each call once, reads only if it asks for them', () =>
  withClient(async (client) => {
    await run(client, 'before');
    const [calls, withReads]: [TracedCall[], TracedCall[]] = [[], []];
    const stop = new AbortController();
    const reading = Promise.all(
      [
        { into: calls, reads: false },
        { into: withReads, reads: true },
      ].map(async ({ into, reads }) => {
        const { signal } = stop;
        for await (const call of client.traces.readCalls({ last: 0, follow: true, reads }, { signal })) into.push(call);
      }),
    ).catch(() => undefined);
    await until(
      async () => calls.length + withReads.length,
      (count) => count === 2,
    );
    await client.runtime.listPodSandbox({});
    await run(client, 'after');
    await until(
      async () => calls.length + withReads.length,
      (count) => count === 5,
    );
    stop.abort();
    await reading;
    assert.deepEqual(
      calls.map(({ method }) => method),
      ['RunPodSandbox', 'RunPodSandbox'],
    );
    assert.deepEqual(
      withReads.map(({ method }) => method),
      ['RunPodSandbox', 'ListPodSandbox', 'RunPodSandbox'],
    );
    await until(
      async () => recorder.start('runtime.v1.RuntimeService/ListPodSandbox', {}, () => undefined),
      (span) => span === undefined,
    );
  }));

test('crid that records no calls says so, and contradicting options are refused', async () => {
  const readCalls = tracesService(undefined)['readCalls']?.handle as (
    request: unknown,
    caller: object,
  ) => AsyncIterable<unknown>;
  const first = readCalls({}, {})[Symbol.asyncIterator]().next();
  await assert.rejects(first, { code: 'FAILED_PRECONDITION', message: /crid\.traced_calls is 0/ });
  await withClient(async (client) => {
    await assert.rejects(output(client, { follow: true, json: true }), { code: 'INVALID_ARGUMENT' });
    await assert.rejects(output(client, { reads: true }), { code: 'INVALID_ARGUMENT' });
  });
});

/** Repeats `look` until its result is as wanted; the test's own time limit ends it. */
async function until<T>(look: () => Promise<T>, isWanted: (found: T) => boolean): Promise<T> {
  for (;;) {
    const found = await look();
    if (isWanted(found)) return found;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
