import { z } from 'zod';
import { CriError } from '../base/errors.js';
import type { OciBlockIo } from './oci.js';

/** Parameters of a class for the devices that match, or for all devices. */
export interface BlockIoParameters {
  /** Absolute paths, with `*`, `?` and `[…]` within a segment; undefined in parameters for all devices. */
  readonly devices: readonly string[] | undefined;
  readonly weight: number | undefined;
  readonly readBps: bigint | undefined;
  readonly writeBps: bigint | undefined;
  readonly readIops: bigint | undefined;
  readonly writeIops: bigint | undefined;
}

/** The parameters of a class in the order of the file, or what is wrong with them. */
export type BlockIoClass = readonly BlockIoParameters[] | CriError;

export type BlockIoClasses = ReadonlyMap<string, BlockIoClass>;

/** Annotations by which a kubelet's client chooses the class of a container (goresctrl, pkg/blockio/kubernetes.go). */
const CONTAINER_ANNOTATION = 'io.kubernetes.cri.blockio-class';
const POD_ANNOTATION = 'blockio.resources.beta.kubernetes.io/pod';
const POD_ANNOTATION_OF_CONTAINER = 'blockio.resources.beta.kubernetes.io/container.';

/** The bounds of a weight in goresctrl, which are those of the OCI spec. */
const [MIN_WEIGHT, MAX_WEIGHT] = [10n, 1000n];
const MAX_RATE = 2n ** 63n - 1n;

const quantityText = z.union([z.string(), z.number()]).transform(String).optional();
const schema = z.strictObject({
  Classes: z
    .record(
      z.string(),
      z.array(
        z.strictObject({
          Devices: z.array(z.string()).optional(),
          ThrottleReadBps: quantityText,
          ThrottleWriteBps: quantityText,
          ThrottleReadIOPS: quantityText,
          ThrottleWriteIOPS: quantityText,
          Weight: quantityText,
        }),
      ),
    )
    .optional(),
});

type Entry = NonNullable<z.infer<typeof schema>['Classes']>[string][number];

/**
 * Checks the content of a file with classes of block I/O in the format of goresctrl (pkg/blockio), parsed from YAML or
 * JSON. INVALID_ARGUMENT names a member that the format does not have. A class with a bad value has its error.
 */
export function parseBlockIoClasses(content: unknown): BlockIoClasses {
  const parsed = schema.safeParse(content ?? {});
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new CriError('INVALID_ARGUMENT', `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
  }
  return new Map(Object.entries(parsed.data.Classes ?? {}).map(([name, entries]) => [name, classOf(entries)]));
}

/** Returns the class that the annotations of a container or its pod choose. */
export function blockIoClassOf(
  containerName: string,
  annotations: Readonly<Record<string, string>>,
  podAnnotations: Readonly<Record<string, string>>,
): string {
  const ofPod = podAnnotations[`${POD_ANNOTATION_OF_CONTAINER}${containerName}`] ?? podAnnotations[POD_ANNOTATION];
  return annotations[CONTAINER_ANNOTATION] ?? ofPod ?? '';
}

/** Throws INVALID_ARGUMENT if there is no such class, or if it has a bad value. */
export function requireClass(name: string, classes: BlockIoClasses, field: string): readonly BlockIoParameters[] {
  const found = classes.get(name);
  if (found === undefined) throw new CriError('INVALID_ARGUMENT', `${field}: there is no block I/O class "${name}"`);
  if (found instanceof CriError) throw found.prefixed(`${field}: block I/O class "${name}"`);
  return found;
}

interface Numbers {
  readonly major: number;
  readonly minor: number;
}

/** Returns what a class is in the OCI spec. `devicesOf` returns the devices of parameters; later parameters win. */
export function blockIoOf(
  parameters: readonly BlockIoParameters[],
  devicesOf: (parameters: BlockIoParameters) => readonly Numbers[],
): OciBlockIo {
  const rates = (key: 'readBps' | 'writeBps' | 'readIops' | 'writeIops'): (Numbers & { rate: bigint })[] =>
    lastOfEach(
      parameters.flatMap((each) =>
        each[key] === undefined ? [] : devicesOf(each).map(({ major, minor }) => ({ major, minor, rate: each[key]! })),
      ),
    );
  const weights = parameters.flatMap((each) =>
    each.weight === undefined
      ? []
      : devicesOf(each).map(({ major, minor }) => ({ major, minor, weight: each.weight! })),
  );
  const weight = parameters.filter(({ devices }) => devices === undefined).at(-1)?.weight;
  const members = {
    weightDevice: lastOfEach(weights),
    throttleReadBpsDevice: rates('readBps'),
    throttleWriteBpsDevice: rates('writeBps'),
    throttleReadIOPSDevice: rates('readIops'),
    throttleWriteIOPSDevice: rates('writeIops'),
  };
  return {
    ...(weight !== undefined && { weight }),
    ...(Object.fromEntries(Object.entries(members).filter(([, list]) => list.length > 0)) as Partial<typeof members>),
  };
}

const lastOfEach = <T extends Numbers>(entries: readonly T[]): T[] => [
  ...new Map(entries.map((entry) => [`${entry.major}:${entry.minor}`, entry])).values(),
];

function classOf(entries: readonly Entry[]): BlockIoClass {
  try {
    return entries.map(parametersOf);
  } catch (thrown) {
    return CriError.from(thrown);
  }
}

function parametersOf(entry: Entry): BlockIoParameters {
  const rate = (name: keyof Omit<Entry, 'Devices'>): bigint | undefined => quantity(name, entry[name], 0n, MAX_RATE);
  const rates = {
    readBps: rate('ThrottleReadBps'),
    writeBps: rate('ThrottleWriteBps'),
    readIops: rate('ThrottleReadIOPS'),
    writeIops: rate('ThrottleWriteIOPS'),
  };
  if (!entry.Devices && Object.values(rates).some((value) => value !== undefined))
    throw new CriError('INVALID_ARGUMENT', 'Devices: must be there with a Throttle member');
  const weight = quantity('Weight', entry.Weight, MIN_WEIGHT, MAX_WEIGHT);
  return { devices: entry.Devices, weight: weight === undefined ? undefined : Number(weight), ...rates };
}

const QUANTITY = /^([+-]?)([0-9]{1,20})(?:\.([0-9]{0,20}))?([eE][+-]?[0-9]{1,2}|[KMGTPE]i|[numkMGTPE])?$/;
const DECIMAL: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const BINARY = ['Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];

/** Parses a quantity of Kubernetes, rounded up to a whole number (k8s.io/apimachinery, pkg/api/resource). */
function quantity(name: string, text: string | undefined, min: bigint, max: bigint): bigint | undefined {
  if (text === undefined || text === '') return undefined;
  const [, sign, whole, fraction = '', suffix = ''] = QUANTITY.exec(text) ?? [];
  if (whole === undefined) throw new CriError('INVALID_ARGUMENT', `${name}: expected a quantity, received "${text}"`);
  const exponent =
    (/^[eE]./.test(suffix) && suffix !== 'Ei' ? Number(suffix.slice(1)) : (DECIMAL[suffix] ?? 0)) - fraction.length;
  const binary = 1024n ** BigInt(BINARY.indexOf(suffix) + 1);
  const digits = BigInt(whole + fraction) * binary;
  const divisor = 10n ** BigInt(Math.max(0, -exponent));
  const size = (digits * 10n ** BigInt(Math.max(0, exponent)) + divisor - 1n) / divisor;
  const value = sign === '-' ? -size : size;
  if (value < min || value > max)
    throw new CriError('INVALID_ARGUMENT', `${name}: expected ${min} to ${max}, received "${text}"`);
  return value;
}
