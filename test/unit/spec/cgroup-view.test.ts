import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CgroupMountMode, NamespaceMode } from '../../../generated/runtime/v1/api.js';
import { buildContainerSpec } from '../../../src/spec/container-spec.js';
import type { HostFacts, SpecHandlerOptions } from '../../../src/spec/types.js';
import { validateContainerConfig, validateSandboxConfig } from '../../../src/spec/validate/validate.js';
import { containerConfig, containerInput, HANDLER, HOST, podConfig, refusal } from './inputs.js';

const { POD, CONTAINER, NODE, TARGET } = NamespaceMode;
const { CGROUP_MOUNT_MODE_READ_ONLY: RO, CGROUP_MOUNT_MODE_READ_WRITE: RW } = CgroupMountMode;
const FIELD = 'config.linux.security_context';
const UNKNOWN = 9 as never;

interface Asked {
  readonly mode?: NamespaceMode;
  readonly mount?: CgroupMountMode;
  readonly privileged?: boolean;
}

const configOf = ({ mode, mount = 0, privileged = false }: Asked) =>
  containerConfig({
    linux: {
      security_context: {
        privileged,
        cgroup_mount_mode: mount,
        ...(mode !== undefined && { namespace_options: { cgroupns_options: { mode } } }),
      },
    },
  });

const V1: HostFacts = { ...HOST, cgroupVersion: 1, cgroupMountOptions: [] };
const WRITABLE: SpecHandlerOptions = { ...HANDLER, cgroupWritable: true };

/** Returns the cgroup namespace and the options of the cgroup mount, or the error. */
function view(asked: Asked, { host = HOST, handler = HANDLER } = {}): string {
  let seen = '';
  const error = refusal(() => {
    const spec = buildContainerSpec(
      containerInput({
        config: configOf(asked),
        pod: podConfig({ linux: { security_context: { privileged: asked.privileged ?? false } } }),
        host,
        handler,
      }),
    );
    const own = spec.linux.namespaces.some(({ type }) => type === 'cgroup');
    const { options = [] } = spec.mounts.find(({ type }) => type === 'cgroup') ?? {};
    seen = [own ? 'own' : 'node', ...options.slice(4)].join(' ');
  });
  return seen || error;
}

test('cgroups: the namespace and the mount that a request names, and the defaults', () => {
  const host = 'nsdelegate memory_recursiveprot';
  assert.deepEqual(
    [
      ...[{}, { mode: CONTAINER }, { mode: NODE }, { mode: NODE, mount: RO }, { mount: RW }],
      ...[{ mode: CONTAINER, mount: RW }, { privileged: true }, { privileged: true, mode: CONTAINER }],
      ...[
        { privileged: true, mode: CONTAINER, mount: RW },
        { privileged: true, mode: NODE, mount: RW },
      ],
    ].map((asked) => view(asked)),
    [
      ...['own ro', 'own ro', `node ro ${host}`, `node ro ${host}`, 'own rw'],
      ...['own rw', `node rw ${host}`, 'own rw'],
      ...['own rw', `node rw ${host}`],
    ],
  );
  assert.deepEqual(
    [{}, { mode: CONTAINER }, { mode: NODE }, { privileged: true }].map((asked) => view(asked, { host: V1 })),
    ['node ro', 'own ro', 'node ro', 'node rw'],
  );
});

test('cgroups: a mode of the request takes precedence over the handler’s cgroup_writable', () => {
  const on = { handler: WRITABLE };
  assert.deepEqual(
    [{}, { mount: RO }, { mode: NODE, mount: RO }].map((asked) => view(asked, on)),
    ['own rw', 'own ro', 'node ro nsdelegate memory_recursiveprot'],
  );
  assert.match(
    view({ mode: NODE }, on),
    /^FAILED_PRECONDITION .*cgroupns_options\.mode: NODE with the cgroup_writable/,
  );
  assert.equal(view({ mode: NODE }, { ...on, host: V1 }), 'node rw');
});

test('cgroups: what the node or the handler cannot do is refused', () => {
  const without = { handler: { ...HANDLER, cgroupNamespaces: false } };
  const noDelegation = { host: { ...HOST, cgroupMountOptions: ['memory_recursiveprot'] } };
  const needs = `FAILED_PRECONDITION ${FIELD}.cgroup_mount_mode: READ_WRITE needs cgroup v2 with the mount option nsdelegate`;
  const lacks = `FAILED_PRECONDITION ${FIELD}.namespace_options.cgroupns_options.mode: the runtime handler does not support cgroup namespaces`;
  assert.deepEqual(
    [
      view({ mount: RW }, { host: V1 }),
      view({ mount: RW }, noDelegation),
      view({ mount: RW, privileged: true }, noDelegation),
      view({ mode: CONTAINER }, without),
      view({ mode: NODE }, without),
      view({}, without),
    ],
    [needs, needs, needs, lacks, lacks, 'own ro'],
  );
});

test('cgroups: modes that CRI excludes are refused', () => {
  const refused = (asked: Asked): string => refusal(() => validateContainerConfig(configOf(asked)));
  const mode = `INVALID_ARGUMENT ${FIELD}.namespace_options.cgroupns_options.mode`;
  const mount = `INVALID_ARGUMENT ${FIELD}.cgroup_mount_mode`;
  assert.deepEqual(
    [
      refused({ mode: POD }),
      refused({ mode: TARGET }),
      refused({ mode: UNKNOWN }),
      refused({ mount: UNKNOWN }),
      refused({ mount: RO, privileged: true }),
      refused({ mount: RW, mode: NODE }),
      refused({ mount: RW, mode: NODE, privileged: true }),
      refusal(() =>
        validateSandboxConfig(
          podConfig({
            linux: { security_context: { namespace_options: { cgroupns_options: { mode: CONTAINER } } } },
          }),
        ),
      ),
    ],
    [
      `${mode}: expected CONTAINER or NODE, received POD`,
      `${mode}: expected CONTAINER or NODE, received TARGET`,
      `${mode}: unknown value 9`,
      `${mount}: unknown value 9`,
      `${mount}: READ_ONLY, but a privileged container's cgroups are writable`,
      `${mount}: READ_WRITE in the node's cgroup namespace needs a privileged container`,
      'nothing thrown',
      `INVALID_ARGUMENT ${FIELD}.namespace_options.cgroupns_options: is for containers only`,
    ],
  );
});
