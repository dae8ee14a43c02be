/** Services whose port has a different name. */
const SERVICES: Readonly<Record<string, string>> = {
  Store: 'sandboxes',
  Version: 'introspection',
};

/** Methods whose name in the port is different. */
const METHODS: Readonly<Record<string, string>> = {
  'containers.listStream': 'containers.list',
  'tasks.deleteProcess': 'tasks.deleteExec',
  'tasks.closeIO': 'tasks.closeIo',
  'tasks.listPids': 'tasks.pids',
  'leases.listResources': 'leases.resources',
  'transfer.transfer': 'transfer.pull',
  'streaming.stream': 'transfer.stream',
  'diff.diff': 'diff.create',
  'introspection.pluginInfo': 'introspection.runtimeFeatures',
};

/**
 * The properties of a method of the port. A `read` is sent again after a lost connection; a `wait` is not, because
 * its caller must first read the state again. A `wait` and a `pull` last as long as what they wait for: an event, or a
 * registry.
 */
type Trait = 'read' | 'wait' | 'pull';

const TRAITS: ReadonlyMap<string, Trait> = new Map([
  ...withTrait('read', [
    ...['containers.get', 'containers.list', 'images.get', 'images.list', 'content.read', 'content.info'],
    ...['tasks.get', 'tasks.list', 'tasks.pids', 'tasks.metrics', 'leases.list', 'leases.resources'],
    ...['snapshots.mounts', 'snapshots.stat', 'snapshots.list', 'snapshots.usage', 'mounts.list'],
    ...['sandboxes.get', 'sandboxes.list', 'controller.status'],
    ...['introspection.version', 'introspection.plugins', 'introspection.server', 'introspection.runtimeFeatures'],
  ]),
  ...withTrait('wait', ['tasks.wait', 'controller.wait', 'events.subscribe', 'transfer.stream']),
  ...withTrait('pull', ['transfer.pull']),
]);

/** The name of a gRPC path in logs and errors: `/containerd.services.tasks.v1.Tasks/Start` is `tasks.start`. */
export function methodName(path: string): string {
  const [service = '', method = ''] = path.slice(1).split('/');
  const short = service.slice(service.lastIndexOf('.') + 1);
  const name = `${SERVICES[short] ?? short.toLowerCase()}.${method.charAt(0).toLowerCase()}${method.slice(1)}`;
  return METHODS[name] ?? name;
}

/** The method may be sent again after a lost connection. */
export const isRead = (method: string): boolean => TRAITS.get(method) === 'read';

/** The call may last long after the RPC that started it has returned. */
export const isWait = (method: string): boolean => TRAITS.get(method) === 'wait';

/** The duration of the call says nothing about containerd. */
export const isLasting = (method: string): boolean => isWait(method) || TRAITS.get(method) === 'pull';

/** The subject of a request, for messages: the id, key, name or digest in it or in its record; "" when unknown. */
export function subjectOf(request: unknown): string {
  if (typeof request !== 'object' || request === null) return '';
  const fields = request as Readonly<Record<string, unknown>>;
  for (const key of ['container_id', 'sandbox_id', 'id', 'key', 'name', 'digest', 'topic']) {
    const value = fields[key];
    if (typeof value !== 'string' || value === '') continue;
    const exec = fields['exec_id'];
    return key === 'container_id' && typeof exec === 'string' && exec !== '' ? `${value}/${exec}` : value;
  }
  for (const key of ['container', 'sandbox', 'image']) {
    if (fields[key] !== undefined) return subjectOf(fields[key]);
  }
  return '';
}

function withTrait(trait: Trait, methods: readonly string[]): [string, Trait][] {
  return methods.map((method) => [method, trait]);
}
