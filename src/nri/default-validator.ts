import {
  Field,
  SecurityProfile_ProfileType as ProfileType,
  type PluginInstance,
  type ValidateContainerAdjustmentRequest,
} from '../../generated/nri/v1alpha1/api.js';
import { SecurityProfile_ProfileType, type SecurityProfile } from '../../generated/runtime/v1/api.js';
import { CriError } from '../base/errors.js';
import type { NriConfig } from '../config/schema.js';
import { markedKey } from './adjust/removal.js';
import { pluginName } from './port.js';

/** Rejects with FAILED_PRECONDITION if the adjustments of plugins, or the lack of a plugin, reject a new container. */
export type Validate = (
  request: ValidateContainerAdjustmentRequest,
  /** The profile in the CRI: NRI's message has none for a profile from a registry. */
  seccomp?: SecurityProfile,
) => Promise<void>;

type Rules = NriConfig['default_validator'];
type Request = ValidateContainerAdjustmentRequest;

/** A pod's annotation with the plugins that its containers need, as a list of YAML. */
const REQUIRED_PLUGINS = 'required-plugins.noderesource.dev';
/** The texts that Go's strconv.ParseBool accepts. */
const TRUE = ['1', 't', 'T', 'TRUE', 'true', 'True'];
const FALSE = ['0', 'f', 'F', 'FALSE', 'false', 'False'];

/** Returns NRI's built-in validator (NRI, plugins/default-validator); undefined if it is not enabled. */
export function defaultValidator(rules: Rules): Validate | undefined {
  if (!rules.enable) return undefined;
  return async (request, seccomp) => {
    const problem =
      hooksProblem(rules, request) ??
      seccompProblem(rules, request, seccomp) ??
      namespacesProblem(rules, request) ??
      (await requiredProblem(rules, request)) ??
      sysctlProblem(rules, request);
    if (problem !== undefined)
      throw new CriError('FAILED_PRECONDITION', `nri.default_validator rejected the container: ${problem}`);
  };
}

function hooksProblem({ reject_oci_hook_adjustment: rejects }: Rules, request: Request): string | undefined {
  const owners = simpleOwner(request, Field.OciHooks);
  return rejects && owners !== undefined ? `OCI hooks are adjusted by ${owners}` : undefined;
}

function seccompProblem(rules: Rules, request: Request, seccomp: SecurityProfile | undefined): string | undefined {
  const owner = simpleOwner(request, Field.SeccompPolicy);
  if (owner === undefined) return undefined;
  const type = request.container?.linux?.seccomp_profile?.profile_type ?? ProfileType.UNCONFINED;
  const [kind, rejects] =
    type === ProfileType.RUNTIME_DEFAULT
      ? ['runtime default', rules.reject_runtime_default_seccomp_adjustment]
      : type === ProfileType.LOCALHOST || seccomp?.profile_type === SecurityProfile_ProfileType.OCI
        ? ['custom', rules.reject_custom_seccomp_adjustment]
        : ['unconfined', rules.reject_unconfined_seccomp_adjustment];
  return rejects ? `the ${kind} seccomp policy is adjusted by ${owner}` : undefined;
}

function namespacesProblem({ reject_namespace_adjustment: rejects }: Rules, request: Request): string | undefined {
  const owners = compoundOwners(request, Field.Namespace);
  return rejects && owners.length > 0 ? `namespaces are adjusted: ${describe(owners)}` : undefined;
}

function sysctlProblem({ reject_sysctl_adjustment: rejects }: Rules, request: Request): string | undefined {
  const owners = compoundOwners(request, Field.Sysctl);
  return rejects && owners.length > 0 ? `sysctls are adjusted: ${describe(owners)}` : undefined;
}

async function requiredProblem(rules: Rules, request: Request): Promise<string | undefined> {
  const { tolerate_missing_plugins_annotation: toleration } = rules;
  const tolerates = toleration === '' ? undefined : annotationOf(request, toleration);
  if (tolerates !== undefined) {
    if (TRUE.includes(tolerates)) return undefined;
    if (!FALSE.includes(tolerates)) return `annotation ${toleration}: expected true or false`;
  }
  const annotated = annotationOf(request, REQUIRED_PLUGINS);
  const names = annotated === undefined ? [] : await namesIn(annotated);
  if (!names) return `annotation ${REQUIRED_PLUGINS}: expected a list of names in YAML`;
  const missing = [...rules.required_plugins, ...names].filter((name) => !isPresent(request.plugins, name));
  return missing.length > 0 ? `the required plugins ${missing.join(', ')} are not there` : undefined;
}

/** Returns the pod's annotation for the container, or else for all its containers. */
function annotationOf({ pod, container }: Request, key: string): string | undefined {
  const annotations = pod?.annotations ?? {};
  const found = [`${key}/container.${container?.name ?? ''}`, `${key}/pod`, key].find((each) =>
    Object.hasOwn(annotations, each),
  );
  return found === undefined ? undefined : annotations[found];
}

/** The parser is loaded on demand, because it takes 8 MiB. */
async function namesIn(text: string): Promise<string[] | undefined> {
  const { parse } = await import('yaml');
  try {
    const value: unknown = parse(text, { maxAliasCount: 0 }) ?? [];
    return Array.isArray(value) && value.every((name) => typeof name === 'string') ? value : undefined;
  } catch {
    return undefined;
  }
}

const isPresent = (plugins: readonly PluginInstance[], wanted: string): boolean =>
  plugins.some((plugin) => plugin.name === wanted || pluginName(plugin) === wanted);

/** A plugin that only removes a value owns the field with a mark. */
function simpleOwner({ owners, container }: Request, field: Field): string | undefined {
  const owner = owners?.owners[container?.id ?? '']?.simple[field];
  return owner === undefined ? undefined : markedKey(owner).key;
}

const compoundOwners = ({ owners, container }: Request, field: Field): (readonly [string, string])[] =>
  Object.entries(owners?.owners[container?.id ?? '']?.compound[field]?.owners ?? {}).map(
    ([entry, owner]) => [entry, markedKey(owner).key] as const,
  );

const describe = (owners: readonly (readonly [string, string])[]): string =>
  owners.map(([entry, owner]) => `${entry} by ${owner}`).join(', ');
