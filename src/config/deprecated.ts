import type { Problem } from './check.js';
import { get, isTree, put, take, type Tree } from './tree.js';

const REGISTRY = ['images', 'registry'];

/** Returns a warning for each option in a checked layer that containerd still honours but has deprecated. */
export function deprecations(options: Tree): Problem[] {
  const found: Problem[] = [];
  for (const name of ['mirrors', 'configs', 'auths']) {
    const entries = get(options, [...REGISTRY, name]);
    if (!isTree(entries) || Object.keys(entries).length === 0) continue;
    const instead = name === 'mirrors' ? 'hosts.toml files in config_path' : 'image pull secrets';
    found.push({ path: [...REGISTRY, name], text: `deprecated, use ${instead}` });
  }
  if (get(options, ['runtime', 'enable_cdi']) === false) {
    found.push({ path: ['runtime', 'enable_cdi'], text: 'deprecated, a later containerd always enables CDI' });
  }
  return found;
}

/** Moves `registry.auths`, whose keys are URLs, into `registry.configs`, whose keys are hosts. */
export function foldAuths(options: Tree): void {
  const auths = take(options, [...REGISTRY, 'auths']);
  for (const [endpoint, auth] of Object.entries(isTree(auths) ? auths : {})) {
    const host = URL.canParse(endpoint) && new URL(endpoint).host !== '' ? new URL(endpoint).host : endpoint;
    put(options, [...REGISTRY, 'configs', host, 'auth'], auth);
  }
}
