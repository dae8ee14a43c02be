import { Field, type FieldOwners, type OwningPlugins } from '../../../generated/nri/v1alpha1/api.js';
import { CriError } from '../../base/errors.js';
import { markedKey, removalOf } from './removal.js';

/**
 * The plugins that have set the fields of containers (NRI, pkg/api/owners.go). A field belongs to the first plugin
 * that sets it; only a plugin that removes the field in the same answer takes it over.
 */
export interface Owners {
  /** FAILED_PRECONDITION names both plugins when another plugin owns the field, or the entry of it. */
  claim(id: string, plugin: string, field: Field, entry?: string): void;
  /** Hands a field, or an entry of it, to the plugin that removes it. */
  clear(id: string, plugin: string, field: Field, entry?: string): void;
  /** Adds a plugin to the owners of the hooks, which all plugins may append to. */
  share(id: string, plugin: string): void;
  /** Runs `claims`. When it throws, none of its claims count. */
  atomically(claims: () => void): void;
  /** The message that validating plugins get. */
  message(): OwningPlugins;
}

/** The plugin by field, and by field and entry. A plugin with a removal mark has removed the value and set none. */
interface Owned {
  readonly simple: Map<Field, string>;
  readonly compound: Map<Field, Entries>;
}

type Entries = ReadonlyMap<string, string>;

export function createOwners(): Owners {
  let containers = new Map<string, Owned>();

  const ownersOf = (id: string): Owned => {
    const owned = containers.get(id) ?? { simple: new Map<Field, string>(), compound: new Map<Field, Entries>() };
    containers.set(id, owned);
    return owned;
  };
  const ownerOf = (id: string, field: Field, entry: string | undefined): string | undefined => {
    const { simple, compound } = ownersOf(id);
    return entry === undefined ? simple.get(field) : compound.get(field)?.get(entry);
  };
  const setOwner = (id: string, owner: string, field: Field, entry: string | undefined): void => {
    const { simple, compound } = ownersOf(id);
    if (entry === undefined) simple.set(field, owner);
    else compound.set(field, new Map(compound.get(field)).set(entry, owner));
  };

  return {
    claim(id, plugin, field, entry) {
      const owner = ownerOf(id, field, entry);
      if (owner !== undefined && owner !== removalOf(plugin)) throw conflict(plugin, owner, field, entry);
      setOwner(id, plugin, field, entry);
    },
    clear: (id, plugin, field, entry) => setOwner(id, removalOf(plugin), field, entry),
    share(id, plugin) {
      const others = ownerOf(id, Field.OciHooks, undefined);
      setOwner(id, others === undefined ? plugin : `${others},${plugin}`, Field.OciHooks, undefined);
    },
    atomically(claims) {
      const before = copyOf(containers);
      try {
        claims();
      } catch (thrown) {
        containers = before;
        throw thrown;
      }
    },
    message: () => ({
      owners: Object.fromEntries([...containers].map(([id, owned]) => [id, fieldOwners(owned)])),
    }),
  };
}

function conflict(plugin: string, owner: string, field: Field, entry: string | undefined): CriError {
  const where = `${Field[field]}${entry === undefined ? '' : ` ${entry}`}`;
  const problem = `plugins "${plugin}" and "${markedKey(owner).key}" both tried to set ${where}`;
  return new CriError('FAILED_PRECONDITION', problem);
}

const copyOf = (containers: ReadonlyMap<string, Owned>): Map<string, Owned> =>
  new Map(
    [...containers].map(([id, { simple, compound }]) => [id, { simple: new Map(simple), compound: new Map(compound) }]),
  );

const fieldOwners = ({ simple, compound }: Owned): FieldOwners => ({
  simple: Object.fromEntries(simple),
  compound: Object.fromEntries([...compound].map(([field, owners]) => [field, { owners: Object.fromEntries(owners) }])),
});
