import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Crid, CridOptions } from '../../harness/crid.js';
import { startCrid } from '../../harness/crid.js';
import type { TestStack } from '../../harness/test-stack.js';

/** A crid with fault injection, which can be changed while it runs. */
export interface FaultyCrid extends Crid {
  /** Sets `KIND/STEP:before|after=kill|fail|hang[=FILE]`; replaces the previous fault. */
  setFault(fault: string): Promise<void>;
  clearFault(): Promise<void>;
  /** Waits until a fault has killed crid, and starts it again without a fault. */
  revive(): Promise<void>;
}

const DEATH_LIMIT_MS = 20_000;

export async function startFaultyCrid(stack: TestStack, options: CridOptions = {}): Promise<FaultyCrid> {
  const file = join(stack.dir, `faults-${process.pid}`);
  const crid = await startCrid(stack, { ...options, env: { ...options.env, CRID_FAULT: `@${file}` } });
  const clearFault = (): Promise<void> => rm(file, { force: true });
  return {
    ...crid,
    setFault: (fault) => writeFile(file, fault),
    clearFault,
    async revive() {
      const late = new AbortController();
      const stillRuns = sleep(DEATH_LIMIT_MS, 'still running', { signal: late.signal }).catch(() => 'aborted');
      assert.equal(await Promise.race([crid.ended(), stillRuns]), 'SIGKILL');
      late.abort();
      await clearFault();
      await crid.start();
      await crid.settled();
    },
  };
}

/** Returns the names of the steps of one kind of operation during `work`, in order, without duplicates. */
export async function stepsOf(crid: Crid, kind: string, work: () => Promise<unknown>): Promise<string[]> {
  const seen = (await crid.logLines()).length;
  await work();
  const lines = (await crid.logLines()).slice(seen);
  const done = lines.filter((line) => line['msg'] === 'step done' && line['operation'] === kind);
  const steps = [...new Set(done.map((line) => String(line['step'])))];
  assert.notEqual(steps.length, 0, `no step of "${kind}" in the log`);
  return steps;
}

export const PHASES = ['before', 'after'] as const;
