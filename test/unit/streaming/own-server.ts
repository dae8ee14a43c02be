import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { createLogger } from '../../../src/base/log.js';
import { defaultConfig, type StreamingConfig } from '../../../src/config/schema.js';
import { createStreaming } from '../../../src/streaming/create-streaming.js';
import type { CommandClient, Outcome, Streaming } from '../../../src/streaming/streaming.js';

export const STREAMS = { stdin: true, stdout: true, stderr: true, tty: false };

/** Starts a streaming server for this test, and creates FIFOs for it. */
export async function setUp(t: TestContext, config: Partial<StreamingConfig> = {}) {
  const log = createLogger('error');
  log.level = 'silent';
  const streaming = await createStreaming({ config: { streaming: { ...defaultConfig().streaming, ...config } }, log });
  const folder = mkdtempSync(join(tmpdir(), 'crid-streaming-'));
  t.after(async () => {
    await streaming.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const fifo = (name: string): string => {
    execFileSync('mkfifo', [join(folder, name)]);
    return join(folder, name);
  };
  return { streaming, fifo };
}

export const execUrl = (
  streaming: Streaming,
  serve: (client: CommandClient) => Promise<Outcome>,
  streams = STREAMS,
): string => streaming.url({ route: 'exec', streams, serve });

/** Serves until the client disconnects. */
export async function never({ signal }: CommandClient): Promise<Outcome> {
  if (!signal.aborted) await once(signal, 'abort');
  throw signal.reason;
}
