import type { ContainerAdjustment, Hook, Hooks, KeyValue } from '../../../generated/nri/v1alpha1/api.js';
import { withCdiEdits, type CdiEdits } from '../../spec/cdi/cdi.js';
import type { OciHook, OciHookName, OciRlimit, OciSpec } from '../../spec/oci.js';
import { entriesOf } from './apply-entries.js';
import { applyLinux, type ApplyFacts } from './apply-linux.js';
import { applyMounts } from './apply-mounts.js';
import { envName } from './merge-entries.js';
import { markedKey } from './removal.js';

/**
 * Returns the spec with the adjustments of all plugins, which have passed `checkAdjustment`. They are applied in the
 * order of NRI (pkg/runtime-tools/generate, Adjust). `cdi`: the edits of the adjustment's CDI devices.
 */
export function applyAdjustment(
  spec: OciSpec,
  adjust: ContainerAdjustment,
  facts: ApplyFacts & { readonly cdi: readonly CdiEdits[] },
): OciSpec {
  const { annotations, args, hooks, rlimits } = adjust;
  const before: OciSpec = {
    ...spec,
    process: {
      ...spec.process,
      env: envOf(spec.process.env, adjust.env),
      ...(args.length > 0 && { args: [...args] }),
    },
    annotations: entriesOf(spec.annotations ?? {}, annotations, (value) => value),
    ...(hooks && hasHooks(hooks) && { hooks: hooksOf(spec.hooks ?? {}, hooks) }),
  };
  const linux = applyLinux(withCdiEdits(before, facts.cdi), adjust.linux, facts);
  const mounted = adjust.mounts.length > 0 ? applyMounts(linux, adjust.mounts) : linux;
  if (rlimits.length === 0) return mounted;
  return { ...mounted, process: { ...mounted.process, rlimits: rlimitsOf(mounted.process.rlimits ?? [], rlimits) } };
}

/** A variable that is there keeps its place. */
function envOf(before: readonly string[], asked: readonly KeyValue[]): string[] {
  const env = new Map(before.map((line) => [envName(line), line]));
  const changes = asked.map(({ key: text, value }) => ({ ...markedKey(text), value }));
  for (const { key, removed } of changes) if (removed) env.delete(key);
  for (const { key, removed, value } of changes) if (!removed) env.set(key, `${key}=${value}`);
  return [...env.values()];
}

const HOOKS = [
  ['prestart', 'prestart'],
  ['createRuntime', 'create_runtime'],
  ['createContainer', 'create_container'],
  ['startContainer', 'start_container'],
  ['poststart', 'poststart'],
  ['poststop', 'poststop'],
] as const;

const hasHooks = (hooks: Hooks): boolean => HOOKS.some(([, name]) => hooks[name].length > 0);

function hooksOf(before: Partial<Record<OciHookName, OciHook[]>>, asked: Hooks): typeof before {
  const hooks = { ...before };
  for (const [oci, name] of HOOKS) {
    if (asked[name].length > 0) hooks[oci] = [...(hooks[oci] ?? []), ...asked[name].map(hookOf)];
  }
  return hooks;
}

const hookOf = ({ path, args, env, timeout }: Hook): OciHook => ({
  path,
  ...(args.length > 0 && { args: [...args] }),
  ...(env.length > 0 && { env: [...env] }),
  ...(timeout && { timeout: Number(timeout.value) }),
});

/** A limit replaces one of its type: the OCI spec forbids two. */
const rlimitsOf = (before: readonly OciRlimit[], asked: readonly OciRlimit[]): OciRlimit[] => [
  ...new Map([...before, ...asked].map(({ type, hard, soft }) => [type, { type, hard, soft }])).values(),
];
