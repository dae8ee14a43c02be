import { invalidArgument } from '../base/errors.js';

/** A complete image reference. */
export interface ImageReference {
  /** `docker.io`, `127.0.0.1:5000`: the registry, with its port if there is one. */
  readonly domain: string;
  /** `docker.io/library/busybox`: the domain and the path. */
  readonly repository: string;
  /** Exactly one of tag and digest is given. */
  readonly tag: string | undefined;
  readonly digest: string | undefined;
  /** `docker.io/library/busybox:latest`, the name of its image record in containerd. */
  readonly text: string;
}

const DEFAULT_DOMAIN = 'docker.io';
const LEGACY_DOMAIN = 'index.docker.io';
const MAX_PATH_LENGTH = 255;
/** The grammar sets no limit for the domain; 1024 is longer than the name of any registry. */
const MAX_LENGTH = 1024;
const MAX_QUOTED_LENGTH = 200;

const LABEL = '[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?';
const DOMAIN = new RegExp(`^(?:${LABEL}(?:\\.${LABEL})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?$`);
const WORD = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const PATH = new RegExp(`^${WORD}(?:/${WORD})*$`);
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^(?:sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128})$/;
const IDENTIFIER = /^[a-f0-9]{64}$/;

/**
 * Parses a reference by the grammar of the distribution project, with Docker's short forms: the default domain is
 * docker.io (with `library/` before a path of one component), the default tag is `latest`, and a digest overrides a
 * tag. Throws INVALID_ARGUMENT, naming `field`.
 */
export function parseReference(text: string, field: string): ImageReference {
  const parsed = parse(text);
  if (typeof parsed !== 'string') return parsed;
  const quoted = JSON.stringify(text.length > MAX_QUOTED_LENGTH ? `${text.slice(0, MAX_QUOTED_LENGTH)}…` : text);
  throw invalidArgument(field, `${quoted} is not an image reference: ${parsed}`);
}

/** As `parseReference`, but returns undefined for an invalid reference. */
export function tryParseReference(text: string): ImageReference | undefined {
  const parsed = parse(text);
  return typeof parsed === 'string' ? undefined : parsed;
}

/** Whether `text` is a digest such as `sha256:…`: the id of an image, or the digest of a blob. */
export const isDigest = (text: string): boolean => DIGEST.test(text);

/** Returns the reference, or a description of the error. */
function parse(text: string): ImageReference | string {
  if (text === '') return 'it is empty';
  if (text.length > MAX_LENGTH) return `it is longer than ${MAX_LENGTH} characters`;
  if (IDENTIFIER.test(text)) return '64 hexadecimal digits are an id';
  if (isDigest(text)) return 'it names no repository';
  const { named, digest } = cut(text, '@', 'digest');
  const { domain, rest } = splitDomain(named);
  const { named: path, tag } = cut(rest, ':', 'tag');
  const problem = problemOf({ domain, path, tag, digest });
  if (problem !== undefined) return problem;
  const repository = `${domain}/${path}`;
  if (digest !== undefined) return { domain, repository, tag: undefined, digest, text: `${repository}@${digest}` };
  const whole = tag ?? 'latest';
  return { domain, repository, tag: whole, digest: undefined, text: `${repository}:${whole}` };
}

function cut<K extends string>(text: string, separator: string, key: K): { named: string } & { [P in K]?: string } {
  const at = text.indexOf(separator);
  if (at < 0) return { named: text };
  return { named: text.slice(0, at), [key]: text.slice(at + 1) };
}

function problemOf(parts: { domain: string; path: string; tag?: string | undefined; digest?: string | undefined }) {
  const { domain, path, tag, digest } = parts;
  if (!DOMAIN.test(domain)) return `${JSON.stringify(domain)} is not a valid registry`;
  if (path !== path.toLowerCase()) return 'a repository is written in lowercase';
  if (!PATH.test(path)) return `${JSON.stringify(path)} is not a valid repository`;
  if (path.length > MAX_PATH_LENGTH) return `its repository is longer than ${MAX_PATH_LENGTH} characters`;
  if (tag !== undefined && !TAG.test(tag)) return `${JSON.stringify(tag)} is not a valid tag`;
  if (digest !== undefined && !isDigest(digest)) return `${JSON.stringify(digest)} is not a valid digest`;
  return undefined;
}

/** Takes the first component as a registry only if it cannot be the name of a user or an organisation. */
function splitDomain(named: string): { domain: string; rest: string } {
  const slash = named.indexOf('/');
  const first = named.slice(0, Math.max(slash, 0));
  const isDomain = first === 'localhost' || /[.:]/.test(first) || first !== first.toLowerCase();
  const domain = !isDomain || first === LEGACY_DOMAIN ? DEFAULT_DOMAIN : first;
  const rest = isDomain ? named.slice(slash + 1) : named;
  return { domain, rest: domain === DEFAULT_DOMAIN && !rest.includes('/') ? `library/${rest}` : rest };
}
