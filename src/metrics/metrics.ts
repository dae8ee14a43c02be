import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { CriError } from '../base/errors.js';
import { isLasting } from '../containerd/method-names.js';
import { nowNs } from '../host/syscall/clock.js';
import type { StepHook } from '../operation/steps.js';
import { VERSION } from '../version.js';

/** crid's own metrics for Prometheus, listed in docs/metrics.md. Each function counts one event. */
export interface Metrics {
  readonly registry: Registry;
  rpc(call: { readonly method: string; readonly code: string; readonly durationMs: number }): void;
  containerdCall(call: { readonly method: string; readonly code: string; readonly durationMs: number }): void;
  cniPlugin(call: {
    readonly plugin: string;
    readonly verb: string;
    readonly durationMs: number;
    readonly ok: boolean;
  }): void;
  nriCall(call: {
    readonly plugin: string;
    readonly call: string;
    readonly durationMs: number;
    readonly code: string;
  }): void;
  readonly steps: { after(...step: Parameters<Required<StepHook>['after']>): void };
  /** An exit was received through the event stream. `exitedAtNs` is when it happened. */
  exitEvent(exitedAtNs: bigint): void;
  /** A subscriber to CRI events was disconnected because it was too slow. */
  subscriberCutOff(): void;
  /** A leftover of a killed crid was removed. */
  swept(): void;
  /** Registers gauges that are read on each scrape. */
  watch(sources: Sources): void;
}

/** Values that are read on each scrape, by the value of the metric's label. */
export interface Sources {
  operations(): Readonly<Record<string, number>>;
  /** Seconds since the start of the operation of each kind that has run longest. */
  oldestOperations(): Readonly<Record<string, number>>;
  pods(): Readonly<Record<string, number>>;
  containers(): Readonly<Record<string, number>>;
  unreadable(): number;
  events(): { readonly subscribers: number; readonly longestQueue: number };
  errors(): { readonly unhandled: number; readonly background: number };
  stalledLogs(): number;
  logs(): { readonly written: bigint; readonly dropped: bigint; readonly failing: bigint };
}

/** Buckets from a list served from memory up to an image pull. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

export function createMetrics(): Metrics {
  const registry = new Registry();
  const histogram = (name: string, help: string, labelNames: string[]): Histogram =>
    new Histogram({ name, help, labelNames, buckets: SECONDS, registers: [registry] });
  const counter = (name: string, help: string): Counter => new Counter({ name, help, registers: [registry] });

  collectDefaultMetrics({ register: registry });
  new Gauge({ name: 'crid_build_info', help: 'the version', labelNames: ['version'], registers: [registry] }).set(
    { version: VERSION },
    1,
  );
  const rpcs = histogram('crid_rpc_duration_seconds', 'time to answer a CRI call', ['method', 'code']);
  const calls = histogram('crid_containerd_call_duration_seconds', 'time of a call to containerd', ['method', 'code']);
  const steps = histogram('crid_operation_step_duration_seconds', 'time of one step of an operation', [
    'operation',
    'step',
    'code',
  ]);
  const plugins = histogram('crid_cni_plugin_duration_seconds', 'time of one run of a CNI plugin', [
    'plugin',
    'verb',
    'outcome',
  ]);
  const nriCalls = histogram('crid_nri_call_duration_seconds', 'time of one call to an NRI plugin', [
    'plugin',
    'call',
    'code',
  ]);
  const lag = histogram('crid_exit_event_lag_seconds', 'time from a process’s end to its event', []);
  const cutOff = counter('crid_event_subscribers_cut_off_total', 'subscribers to CRI events who read too slowly');
  const swept = counter('crid_swept_total', 'leftovers of a kill that were taken away');
  return {
    registry,
    rpc: ({ method, code, durationMs }) => rpcs.observe({ method: lastPart(method), code }, durationMs / 1000),
    containerdCall({ method, code, durationMs }) {
      if (!isLasting(method)) calls.observe({ method, code }, durationMs / 1000);
    },
    cniPlugin: ({ plugin, verb, durationMs, ok }) =>
      plugins.observe({ plugin, verb, outcome: ok ? 'ok' : 'error' }, durationMs / 1000),
    nriCall: ({ plugin, call, durationMs, code }) => nriCalls.observe({ plugin, call, code }, durationMs / 1000),
    steps: {
      after: (operation, step, { durationMs, error }: { durationMs: number; error: CriError | undefined }) =>
        steps.observe({ operation, step: withoutName(step), code: error?.code ?? 'OK' }, durationMs / 1000),
    },
    exitEvent: (exitedAtNs) => lag.observe(Math.max(0, Number(nowNs() - exitedAtNs) / 1e9)),
    subscriberCutOff: () => cutOff.inc(),
    swept: () => swept.inc(),
    watch: (sources) => watch(registry, sources),
  };
}

function watch(registry: Registry, sources: Sources): void {
  const gauge = (name: string, help: string, label: string, read: () => Readonly<Record<string, number>>): void => {
    new Gauge({
      name,
      help,
      labelNames: [label],
      registers: [registry],
      collect() {
        this.reset();
        for (const [value, count] of Object.entries(read())) this.set({ [label]: value }, count);
      },
    });
  };
  gauge('crid_operations_running', 'operations that run now', 'operation', sources.operations);
  gauge(
    'crid_operation_oldest_seconds',
    'age of the oldest operation that runs now',
    'operation',
    sources.oldestOperations,
  );
  gauge('crid_pods', 'pods by state', 'state', sources.pods);
  gauge('crid_containers', 'containers by state', 'state', sources.containers);
  const plain = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  };
  plain('crid_unreadable_records', 'records of containerd that cannot be read and are left alone', sources.unreadable);
  plain('crid_event_subscribers', 'subscribers to CRI events', () => sources.events().subscribers);
  plain(
    'crid_event_queue_length',
    'events that the slowest subscriber has not read',
    () => sources.events().longestQueue,
  );
  counted(registry, 'crid_log_bytes_total', 'bytes written to container logs', () => sources.logs().written);
  counted(registry, 'crid_log_dropped_bytes_total', 'bytes that a log file did not take', () => sources.logs().dropped);
  counted(registry, 'crid_unhandled_errors_total', 'errors that no code handled', () => sources.errors().unhandled);
  counted(
    registry,
    'crid_background_errors_total',
    'failures of work that no caller waits for',
    () => sources.errors().background,
  );
  plain('crid_logs_stalled', 'container logs on file systems that do not answer', () => sources.stalledLogs());
  plain('crid_logs_failing', 'container logs that cannot be written now', () => Number(sources.logs().failing));
}

/** A counter whose value is kept elsewhere. */
function counted(registry: Registry, name: string, help: string, read: () => bigint | number): void {
  new Counter({
    name,
    help,
    registers: [registry],
    collect() {
      this.reset();
      this.inc(Number(read()));
    },
  });
}

const lastPart = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/**
 * `record docker.io/library/busybox:latest` becomes the step `record`: image names would make the number of labels
 * unbounded.
 */
const withoutName = (step: string): string => step.replace(/ \S*[/:@]\S*$/, '');
