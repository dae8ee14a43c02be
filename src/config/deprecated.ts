import type { Problem } from './check.js';
import { get, isTree, put, take, type Tree } from './tree.js';

const REGISTRY = ['images', 'registry'];

/** What a checked layer says in a way that containerd honours and wants to be rid of. */
export function deprecations(options: Tree): Problem[] {
  const found: Problem[] = [];
  for (const name of ['mirrors', 'configs', 'auths']) {
    const entries = get(options, [...REGISTRY, name]);
    if (!isTree(entries) || Object.keys(entries).length === 0) continue;
    const instead = name === 'mirrors' ? 'hosts.toml files in config_path' : 'image pull secrets';
    found.push({ path: [...REGISTRY, name], text: `deprecated, use ${instead}` });
  }
  if (get(options, ['runtime', 'enable_cdi']) === false) {
    found.push({ path: ['runtime', 'enable_cdi'], text: 'deprecated, CDI will always be on in a later containerd' });
  }
  return found;
}

/** Folds `registry.auths`, keyed by a URL, into `registry.configs`, keyed by its host. */
export function foldAuths(options: Tree): void {
  const auths = take(options, [...REGISTRY, 'auths']);
  for (const [endpoint, auth] of Object.entries(isTree(auths) ? auths : {})) {
    const host = URL.canParse(endpoint) && new URL(endpoint).host !== '' ? new URL(endpoint).host : endpoint;
    put(options, [...REGISTRY, 'configs', host, 'auth'], auth);
  }
}
