import { stringify } from 'smol-toml';
import { Options as RuncOptions } from '../../generated/containerd/types/runc/options/oci.js';
import { Options as GenericOptions } from '../../generated/containerd/types/runtimeoptions/v1/api.js';
import { invalidArgument } from '../base/errors.js';
import { anyOf } from './any.js';
import type { Any } from './containerd.js';

export const RUNC_RUNTIME = 'io.containerd.runc.v2';
export const RUNC_OPTIONS = 'containerd.runc.v1.Options';
export const GENERIC_OPTIONS = 'runtimeoptions.v1.Options';

/**
 * Encodes the TOML options of a runtime handler (`[...runtimes.<handler>.options]`, keys by their Go field names) as
 * the Any that creates containers and tasks. Undefined without options. INVALID_ARGUMENT names an unknown key or a key
 * with a value of the wrong type.
 *
 * runc takes containerd.runc.v1.Options. Every other runtime takes runtimeoptions.v1.Options. With a ConfigPath, the
 * runtime reads its configuration there. With neither ConfigPath nor ConfigBody, crid passes the whole table as TOML,
 * so that its keys are the runtime's own.
 */
export function runtimeOptions(runtimeType: string, options: Readonly<Record<string, unknown>>): Any | undefined {
  if (Object.keys(options).length === 0) return undefined;
  if (runtimeType === RUNC_RUNTIME) {
    const message = RuncOptions.fromPartial(read(options, RUNC_KEYS));
    return anyOf(RUNC_OPTIONS, RuncOptions.encode(message).finish());
  }
  const inline = options['ConfigPath'] === undefined && options['ConfigBody'] === undefined;
  const message = inline
    ? GenericOptions.fromPartial({
        ...read(pick(options, 'TypeUrl'), GENERIC_KEYS),
        config_body: Buffer.from(stringify(options)),
      })
    : GenericOptions.fromPartial(read(options, GENERIC_KEYS));
  return anyOf(GENERIC_OPTIONS, GenericOptions.encode(message).finish());
}

/**
 * Decodes the result of `runtimeOptions` for display: the fields that are set, by their names on the wire, bytes as
 * base64. For an unknown type, returns the type URL and the bytes.
 */
export function decodeRuntimeOptions(options: Any): Readonly<Record<string, unknown>> {
  switch (options.type_url) {
    case RUNC_OPTIONS:
      return shown(RuncOptions.decode(options.value));
    case GENERIC_OPTIONS:
      return shown(GenericOptions.decode(options.value));
    default:
      return shown({ type_url: options.type_url, value: Buffer.from(options.value) });
  }
}

const shown = (message: object): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(message)
      .map(([key, value]): [string, unknown] => [key, Buffer.isBuffer(value) ? value.toString('base64') : value])
      .filter(([, value]) => value !== '' && value !== 0 && value !== false),
  );

type Read = (value: unknown, key: string) => unknown;

const text: Read = (value, key) => expectType(value, 'string', key);
const flag: Read = (value, key) => expectType(value, 'boolean', key);
const uint32: Read = (value, key) => {
  const number = typeof value === 'bigint' ? Number(value) : value;
  if (!Number.isInteger(number) || (number as number) < 0 || (number as number) > 0xffffffff) {
    throw invalidArgument(`runtime option ${key}`, 'expected an unsigned 32-bit integer');
  }
  return number;
};
const body: Read = (value, key) => Buffer.from(expectType(value, 'string', key) as string);

const RUNC_KEYS: Readonly<Record<string, readonly [keyof RuncOptions, Read]>> = {
  NoPivotRoot: ['no_pivot_root', flag],
  NoNewKeyring: ['no_new_keyring', flag],
  ShimCgroup: ['shim_cgroup', text],
  IoUid: ['io_uid', uint32],
  IoGid: ['io_gid', uint32],
  BinaryName: ['binary_name', text],
  Root: ['root', text],
  SystemdCgroup: ['systemd_cgroup', flag],
  CriuImagePath: ['criu_image_path', text],
  CriuWorkPath: ['criu_work_path', text],
  TaskApiAddress: ['task_api_address', text],
  TaskApiVersion: ['task_api_version', uint32],
};

const GENERIC_KEYS: Readonly<Record<string, readonly [keyof GenericOptions, Read]>> = {
  TypeUrl: ['type_url', text],
  ConfigPath: ['config_path', text],
  ConfigBody: ['config_body', body],
};

function read(
  options: Readonly<Record<string, unknown>>,
  keys: Readonly<Record<string, readonly [string, Read]>>,
): Record<string, unknown> {
  const message: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(options)) {
    const known = Object.hasOwn(keys, key) ? keys[key] : undefined;
    if (known === undefined) {
      throw invalidArgument(
        `runtime option ${key}`,
        `unknown option; known options are ${Object.keys(keys).join(', ')}`,
      );
    }
    message[known[0]] = known[1](value, key);
  }
  return message;
}

function expectType(value: unknown, type: 'string' | 'boolean', key: string): unknown {
  if (typeof value !== type) throw invalidArgument(`runtime option ${key}`, `expected a ${type}, got ${typeof value}`);
  return value;
}

const pick = (options: Readonly<Record<string, unknown>>, key: string): Record<string, unknown> =>
  key in options ? { [key]: options[key] } : {};
