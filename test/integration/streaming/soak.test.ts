import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { watchExecs, type ExecWatch } from '../../harness/exec-watch.js';
import { NAMESPACE } from '../../harness/leaks.js';
import { heapOf, heapOptions } from '../../soak/heap.js';
import { createLooker, type Looker } from '../../soak/look.js';
import { soakParts } from '../../soak/parts.js';
import { isEnd } from '../../soak/samples.js';
import { soak, table } from '../../soak/soak.js';
import { startSuite } from '../rpc/suite.js';

/** A short version of `make soak`. */

const suite = startSuite({ withPod: true, crid: ({ dir }) => heapOptions(dir) });
let watch: ExecWatch | undefined;
after(() => watch?.close());

/**
 * In so short a run the heap has not reached its final size: the first two concurrent responses of 16 MiB add 40 MiB.
 */
const MEMORY_SLACK_MIB = 64;

type Parts = Awaited<ReturnType<typeof soakParts>>;
let parts: Promise<Parts> | undefined;
let looker: Looker | undefined;

function repeated(name: string, key: keyof Parts, count: number): void {
  test(`${name}: ${count} leave nothing behind, and nothing grows`, async (t) => {
    const { stack, crid, pod } = suite;
    watch ??= await watchExecs(stack.containerd.socket, NAMESPACE);
    const part = (await (parts ??= soakParts(crid, pod)))[key];
    looker ??= await createLooker({ stack, crid, watch, heap: heapOf(crid, stack.dir), containerdPid: undefined });
    const result = await soak(looker, part, count, { memorySlackMiB: MEMORY_SLACK_MIB, waits: isEnd });
    for (const line of table(result).split('\n')) t.diagnostic(line);
    assert.deepEqual(result.grown, []);
    assert.deepEqual(result.samples.at(-1)?.counts['exec ids'], 0);
  });
}

repeated('CVE-2026-53495, CVE-2022-31030: ExecSync with children in the background and much output', 'execSync', 500);
repeated('CVE-2025-64329: attach and detach', 'attach', 500);
repeated('CVE-2022-23471: terminal execs that fail to start', 'failing', 200);
repeated('execs whose client goes', 'killed', 200);
