import { z } from 'zod';
import { CriError } from '../../base/errors.js';
import type { CdiEdits } from './cdi.js';

/** The fields of a CDI spec file (Container Device Interface 1.0, SPEC.md) that crid uses. */
export interface CdiSpec {
  readonly path: string;
  /** If two specs define one device, the higher priority wins. Later directories have higher priorities. */
  readonly priority: number;
  /** `vendor.com/class` */
  readonly kind: string;
  readonly devices: ReadonlyMap<string, CdiEdits>;
  /** Edits that apply once if any device of the spec is used. */
  readonly edits: CdiEdits;
}

/** Checks the content of one file, parsed from JSON or YAML. INVALID_ARGUMENT names the invalid field. */
export function parseCdiSpec(content: unknown, path: string, priority: number): CdiSpec {
  const parsed = specSchema.safeParse(content);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const where = issue?.path.join('.') ?? '';
    throw new CriError(
      'INVALID_ARGUMENT',
      `CDI spec ${path}: ${where === '' ? '' : `${where}: `}${issue?.message ?? ''}`,
    );
  }
  const { kind, devices, containerEdits } = parsed.data;
  const byName = new Map(devices.map((device) => [device.name, device.containerEdits]));
  if (byName.size < devices.length) {
    throw new CriError('INVALID_ARGUMENT', `CDI spec ${path}: devices: two devices have the same name`);
  }
  return { path, priority, kind, devices: byName, edits: containerEdits };
}

/**
 * Returns the edits for devices, given by their qualified names, in the order of the names. The edits that a spec has
 * for all its devices come before those of its first device. NOT_FOUND names every device that no spec defines, or that
 * two specs of one priority define.
 */
export function resolveCdiDevices(names: readonly string[], specs: readonly CdiSpec[]): CdiEdits[] {
  const unresolved: string[] = [];
  const used = new Set<CdiSpec>();
  const edits: CdiEdits[] = [];
  for (const name of names) {
    const [kind = '', device = ''] = name.split('=');
    const having = specs.filter((spec) => spec.kind === kind && spec.devices.has(device));
    const priority = Math.max(...having.map((spec) => spec.priority));
    const [spec, ...conflicting] = having.filter((one) => one.priority === priority);
    if (!spec || conflicting.length > 0) {
      unresolved.push(spec ? `${name} (in ${[spec, ...conflicting].map(({ path }) => path).join(' and ')})` : name);
      continue;
    }
    if (!used.has(spec)) edits.push(spec.edits);
    used.add(spec);
    edits.push(spec.devices.get(device)!);
  }
  if (unresolved.length > 0)
    throw new CriError('NOT_FOUND', `config.CDI_devices: unresolvable ${unresolved.join(', ')}`);
  return edits;
}

const path = z.string().startsWith('/', { error: 'expected an absolute path' });
const text = z.string();
const id = z.int().min(0).max(0xffffffff);

const deviceNode = z.object({
  path,
  hostPath: path.optional(),
  type: z.enum(['b', 'c', 'u', 'p']).optional(),
  major: z.int().optional(),
  minor: z.int().optional(),
  fileMode: z.int().min(0).optional(),
  permissions: z
    .string()
    .regex(/^[rwm]*$/)
    .optional(),
  uid: id.optional(),
  gid: id.optional(),
});

const editsSchema = z
  .object({
    env: z.array(z.string().regex(/^[^=]+=/, { error: 'expected NAME=VALUE' })).optional(),
    deviceNodes: z.array(deviceNode).optional(),
    mounts: z
      .array(
        z.object({ hostPath: path, containerPath: path, options: z.array(text).optional(), type: text.optional() }),
      )
      .optional(),
    hooks: z
      .array(
        z.object({
          hookName: z.enum(['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop']),
          path,
          args: z.array(text).optional(),
          env: z.array(text).optional(),
          timeout: z.int().optional(),
        }),
      )
      .optional(),
    additionalGids: z.array(id).optional(),
    netDevices: z.array(z.object({ hostInterfaceName: text, name: text })).optional(),
    intelRdt: z.record(text, z.unknown()).optional(),
  })
  .transform((edits) => edits as CdiEdits);

const specSchema = z.object({
  cdiVersion: z.string().regex(/^v?\d+\.\d+\.\d+$/),
  kind: z.string().regex(/^[A-Za-z][A-Za-z0-9._-]*\/[A-Za-z][A-Za-z0-9_-]*$/, { error: 'expected vendor/class' }),
  devices: z.array(
    z.object({
      name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._:-]*$/),
      containerEdits: editsSchema,
    }),
  ),
  containerEdits: editsSchema.prefault({}),
});
