import type { ContainerAdjustment, Mount } from '../../generated/nri/v1alpha1/api.js';
import { MountPropagation } from '../../generated/runtime/v1/api.js';
import { CriError } from '../base/errors.js';
import { exists } from '../host/files/files.js';
import { mountOf, readMountInfo } from '../host/mount/mount-calls.js';
import { applyAdjustment } from '../nri/adjust/apply-adjustment.js';
import { propagationOf } from '../nri/adjust/apply-mounts.js';
import type { ContainerFacts } from '../nri/adjust/container-message.js';
import type { Adjusted } from '../nri/container-hooks.js';
import type { Steps } from '../operation/steps.js';
import type { Handler } from '../sandboxer/handler.js';
import { requireClass, type BlockIoClasses } from '../spec/block-io.js';
import { propagationCheck } from '../spec/mounts/propagation.js';
import type { OciBlockIo, OciSpec } from '../spec/oci.js';
import type { Pod } from '../state/records.js';
import { cdiEdits } from './cdi-devices.js';
import { relabelSources } from './relabel-sources.js';
import { readBlockIoClasses, resolveBlockIoClass } from './block-io-class.js';
import type { ContainerDeps } from './container-deps.js';

/**
 * Returns the spec with what NRI plugins change in it, and which did. FAILED_PRECONDITION names the plugin whose
 * adjustment cannot be applied, or two plugins that set one field.
 */
export async function adjustedSpec(
  deps: Pick<ContainerDeps, 'config' | 'host' | 'log' | 'nri' | 'specOptions'>,
  steps: Steps,
  subject: {
    readonly container: ContainerFacts;
    readonly pod: Pod;
    readonly handler: Handler;
    readonly spec: OciSpec;
  },
): Promise<{ spec: OciSpec; audit: Adjusted['audit'] }> {
  const { container, pod, handler, spec } = subject;
  const { host, specOptions: options } = deps;
  const blockIo = deps.nri && (await readBlockIoClasses(deps));
  const podNamespaces = pod.config.linux?.security_context?.namespace_options;
  const resctrl = deps.nri && (await exists(RESCTRL));
  const facts = { host, options, handler: handler.spec, podNamespaces, blockIo, resctrl };
  const adjusted = await deps.nri?.create(steps, { container, pod, spec, facts });
  if (!adjusted) return { spec, audit: [] };
  const { adjust, audit } = adjusted;
  return steps.step('apply adjustments of NRI plugins', async (signal) => {
    const [cdi, resolved] = await Promise.all([
      cdiEdits(deps, { CDI_devices: adjust.CDI_devices, annotations: {} }).catch(ofPlugins),
      blockIoOf(adjust, blockIo),
      checkPropagation(adjust.mounts).catch(ofPlugins),
    ]);
    await relabelSources(adjust.mounts, spec.linux.mountLabel ?? '', signal).catch(ofPlugins);
    return { spec: applyAdjustment(spec, adjust, { host, options, cdi, blockIo: resolved }), audit };
  });
}

/** A file of each mounted resctrl file system (the kernel's filesystems/resctrl.rst). */
const RESCTRL = '/sys/fs/resctrl/schemata';

/** Returns the class of an adjustment whose name has been checked; undefined for the empty name, which clears it. */
async function blockIoOf(
  { linux }: ContainerAdjustment,
  classes: BlockIoClasses | CriError | undefined,
): Promise<OciBlockIo | undefined> {
  const name = linux?.resources?.blockio_class?.value ?? '';
  if (name === '' || classes === undefined || classes instanceof CriError) return undefined;
  return resolveBlockIoClass(requireClass(name, classes, 'adjust.linux.resources.blockio_class'));
}

/** A field of the request has the same name, but is not what is wrong. */
function ofPlugins(thrown: unknown): never {
  const message = CriError.from(thrown).message.replace(/^config\./, 'adjust.');
  throw new CriError('FAILED_PRECONDITION', message, { cause: thrown });
}

const PROPAGATIONS: Readonly<Record<string, MountPropagation>> = {
  rshared: MountPropagation.PROPAGATION_BIDIRECTIONAL,
  rslave: MountPropagation.PROPAGATION_HOST_TO_CONTAINER,
};

/** The same condition as for a mount of the CRI: the source must be on a mount that allows it. */
async function checkPropagation(mounts: readonly Mount[]): Promise<void> {
  const shared = mounts.flatMap((mount) => {
    const propagation = PROPAGATIONS[propagationOf(mount) ?? ''];
    return propagation === undefined || mount.destination.startsWith('-')
      ? []
      : [{ hostPath: mount.source, propagation }];
  });
  if (shared.length === 0) return;
  const infos = await readMountInfo();
  for (const mount of shared) propagationCheck(mount, mountOf(mount.hostPath, infos));
}
