import { invalidArgument } from '../base/errors.js';

/** An image reference of the distribution specification, with Docker's defaults filled in. */
export interface Reference {
  /** `docker.io`, `registry.k8s.io:443` */
  readonly domain: string;
  /** `library/busybox` */
  readonly path: string;
  readonly tag: string | undefined;
  /** `sha256:…` */
  readonly digest: string | undefined;
}

const DOMAIN =
  /^(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?$/;
const PATH = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$|^sha512:[0-9a-f]{128}$/;
const MAX_NAME = 255;

/**
 * Parses a reference as people write it: `busybox` is `docker.io/library/busybox:latest`. With a tag and a digest the
 * digest decides. INVALID_ARGUMENT names `field` and what is wrong.
 */
export function parseReference(text: string, field: string): Reference {
  const refuse = (problem: string): never => {
    throw invalidArgument(field, `"${text}" is not an image reference: ${problem}`);
  };
  const [named = '', digest, ...more] = text.split('@');
  if (more.length > 0) refuse('more than one @');
  if (digest !== undefined && !DIGEST.test(digest)) refuse('expected a sha256 or sha512 digest after @');
  const slash = named.lastIndexOf('/');
  const colon = named.indexOf(':', slash + 1);
  const tag = colon < 0 ? undefined : named.slice(colon + 1);
  if (tag !== undefined && !TAG.test(tag)) refuse(`"${tag}" is not a tag`);
  const { domain, path } = splitDomain(colon < 0 ? named : named.slice(0, colon));
  if (!DOMAIN.test(domain)) refuse(`"${domain}" is not a registry`);
  if (!PATH.test(path))
    refuse(path !== path.toLowerCase() ? 'the repository must be lower case' : `"${path}" is not a repository`);
  if (`${domain}/${path}`.length > MAX_NAME) refuse(`longer than ${MAX_NAME} characters`);
  return { domain, path, tag: tag ?? (digest === undefined ? 'latest' : undefined), digest };
}

/** The reference in full, as containerd names the image: by digest where there is one, else by tag. */
export const fullName = ({ domain, path, tag, digest }: Reference): string =>
  digest === undefined ? `${domain}/${path}:${tag ?? 'latest'}` : `${domain}/${path}@${digest}`;

/** `repository:tag`, undefined for a reference by digest alone. */
export const tagName = ({ domain, path, tag, digest }: Reference): string | undefined =>
  tag === undefined || digest !== undefined ? undefined : `${domain}/${path}:${tag}`;

export const digestName = ({ domain, path }: Reference, digest: string): string => `${domain}/${path}@${digest}`;

/** What stands before the first slash is a registry only if it looks like one; else all of it is Docker Hub's. */
function splitDomain(name: string): { domain: string; path: string } {
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(0, slash));
  const isDomain = slash > 0 && (/[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase());
  if (!isDomain) return { domain: 'docker.io', path: name.includes('/') ? name : `library/${name}` };
  const path = name.slice(slash + 1);
  if (first !== 'index.docker.io' && first !== 'docker.io') return { domain: first, path };
  return { domain: 'docker.io', path: path.includes('/') ? path : `library/${path}` };
}
