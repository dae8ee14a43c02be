import { writeFile } from 'node:fs/promises';
import type { TracedCall } from '../../generated/crid/v1/traces.js';
import { CriError } from '../base/errors.js';
import type { CriClient } from '../client/cri-client.js';
import { asEvents } from './as-events.js';
import { asPage } from './as-page.js';
import { asText } from './as-text.js';
import { podSelection } from './select-pod.js';

export interface TraceOptions {
  /** Only the calls of this pod: its id, its name, or NAMESPACE/NAME. */
  readonly pod?: string | undefined;
  /** Show at most so many of the recorded calls. */
  readonly last: number;
  readonly follow: boolean;
  readonly reads: boolean;
  readonly json: boolean;
  /** Write one HTML page to this file. */
  readonly html?: string | undefined;
}

export interface Terminal {
  readonly columns: number;
  write(text: string): void;
}

/** `crid trace`: prints the recorded CRI calls, each as a tree of its steps and of its calls to containerd. */
export async function trace(client: CriClient, options: TraceOptions, terminal: Terminal): Promise<void> {
  const { follow, reads, json, html } = options;
  if (follow && (json || html !== undefined))
    throw wrongOptions('--follow prints text only, without --json and --html');
  if (reads && !follow) throw wrongOptions('--reads needs --follow: crid does not record calls that change nothing');
  const selects = await podSelection(client.runtime, options.pod);
  if (!follow) {
    const all = await collected(client.traces.readCalls({ last: 0, follow: false, reads: false }));
    const calls = all.filter(selects).slice(-options.last);
    return show(calls, options, terminal);
  }
  const last = options.pod === undefined ? options.last : 0;
  for await (const call of client.traces.readCalls({ last, follow, reads })) {
    if (selects(call)) terminal.write(`${asText(call, terminal.columns)}\n`);
  }
}

async function show(
  calls: readonly TracedCall[],
  { pod, json, html }: TraceOptions,
  terminal: Terminal,
): Promise<void> {
  if (html !== undefined) {
    await writeFile(html, asPage(calls, pod === undefined ? 'CRI calls' : `CRI calls of ${pod}`));
    return terminal.write(`${calls.length} calls in ${html}\n`);
  }
  if (json) return terminal.write(asEvents(calls));
  if (calls.length === 0) return terminal.write('no call is recorded\n');
  for (const call of calls) terminal.write(`${asText(call, terminal.columns)}\n`);
}

async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all = [];
  for await (const item of items) all.push(item);
  return all;
}

const wrongOptions = (message: string): CriError => new CriError('INVALID_ARGUMENT', message);
