import { CriError } from '../base/errors.js';
import { withoutScheme } from '../base/unix-socket.js';
import {
  CRICTL_KEYS,
  flagPlaces,
  KUBELET_KEYS,
  withEndpoints,
  withLine,
  yamlPlaces,
  type EndpointPlace,
} from './endpoint-text.js';
import { kubeletUnit } from './kubelet-unit.js';
import {
  newFile,
  type Direction,
  type FileChange,
  type MoveNode,
  type NodeFile,
  type NodeFiles,
  type Sockets,
} from './move-node.js';

/** Orders the kubelet after crid; the text of packaging/kubelet-crid.conf. */
export const DROP_IN = '/etc/systemd/system/kubelet.service.d/10-crid.conf';
const DROP_IN_TEXT = `# ${DROP_IN}\n[Unit]\nWants=crid.service\nAfter=crid.service\n`;

/** A package or a boot replaces files there; the other files below /usr/local are the administrator's. */
const REPLACED = /^\/(?:usr\/(?!local\/(?!lib\/systemd\/))|lib\/|run\/|nix\/)/;
const DEFAULT_CONFIG = '/var/lib/kubelet/config.yaml';
/** kubeadm v1.36 and newer copies it into config.yaml. */
const INSTANCE_CONFIG = '/var/lib/kubelet/instance-config.yaml';
const CRICTL = '/etc/crictl.yaml';
const RUNTIME = ['--container-runtime-endpoint', 'containerRuntimeEndpoint'];

export interface KubeletFiles {
  readonly changes: readonly FileChange[];
  /** Reasons why a file cannot be changed, with its path. */
  readonly obstacles: readonly string[];
  /** The places that name a socket: `PATH: NAME VALUE`. */
  readonly found: readonly string[];
}

interface Found {
  readonly path: string;
  readonly file: NodeFile;
  readonly places: readonly EndpointPlace[];
}

/**
 * Finds each file that tells the kubelet or crictl which CRI server to use, and its text after the move. `isUnit` is
 * whether the node has a kubelet.service.
 */
export async function kubeletFiles(
  node: NodeFiles & Pick<MoveNode, 'run'>,
  {
    direction,
    sockets,
    isUnit,
  }: { readonly direction: Direction; readonly sockets: Sockets; readonly isUnit: boolean },
): Promise<KubeletFiles> {
  const [from, to] = direction === 'back' ? [sockets.crid, sockets.containerd] : [sockets.containerd, sockets.crid];
  const obstacles: string[] = [];
  const placesOf = (path: string, file: NodeFile, find: (text: string) => EndpointPlace[]): Found => {
    try {
      return { path, file, places: find(file.text) };
    } catch (thrown) {
      obstacles.push(`${path}: ${CriError.from(thrown).message}`);
      return { path, file, places: [] };
    }
  };
  const { units: unitPaths, environment } = await kubeletUnit(node);
  const units = await readAll(node, unitPaths, obstacles);
  const flagged = [...units, ...(await readAll(node, environment, obstacles))].map(([path, file]) =>
    placesOf(path, file, flagPlaces),
  );
  const config = optionOf(flagged, '--config') ?? DEFAULT_CONFIG;
  const yamls = (await readAll(node, await yamlPaths(node, config, flagged), obstacles)).map(([path, file]) =>
    placesOf(path, file, (text) => yamlPlaces(text, KUBELET_KEYS)),
  );
  const crictl = (await readAll(node, [CRICTL], obstacles)).map(([path, file]) =>
    placesOf(path, file, (text) => yamlPlaces(text, CRICTL_KEYS)),
  );
  const kubelet = [...flagged, ...yamls];
  const usesDefault = !kubelet.some(({ places }) => places.some(({ name, value }) => RUNTIME.includes(name) && value));
  const changes = [...kubelet, ...crictl].flatMap((each) =>
    changeOf(withoutOverridden(each, flagged), { from, to, obstacles }),
  );
  if (usesDefault && isUnit && direction === 'to-crid' && obstacles.length === 0) {
    const found = yamls.find(({ path }) => path === config);
    if (found) changes.push(withSocket(found, to));
    else obstacles.push(`${config}: no such file, and no flag names the CRI socket of the kubelet`);
  }
  const order = await dropIn(node, units, { direction, isUnit, obstacles });
  return {
    changes: [...changes, ...order],
    obstacles,
    found: [...kubelet, ...crictl].flatMap(({ path, places }) =>
      places.filter(({ value }) => value !== '').map(({ name, value }) => `${path}: ${name} ${value}`),
    ),
  };
}

/** Leaves out the flags of a package's or a boot's file that a later file of the administrator sets too. */
function withoutOverridden(found: Found, flagged: readonly Found[]): Found {
  const index = flagged.indexOf(found);
  if (index === -1 || !REPLACED.test(found.path)) return found;
  const later = flagged.slice(index + 1).filter(({ path }) => !REPLACED.test(path));
  const isOverridden = ({ name }: EndpointPlace): boolean =>
    later.some(({ places }) => places.some((place) => place.name === name));
  return { ...found, places: found.places.filter((place) => !isOverridden(place)) };
}

function changeOf(
  { path, file, places }: Found,
  { from, to, obstacles }: { readonly from: string; readonly to: string; readonly obstacles: string[] },
): FileChange[] {
  const wrong: EndpointPlace[] = [];
  for (const place of places) {
    const socket = socketPath(place.value);
    if (socket === '' || socket === socketPath(to)) continue;
    if (socket === socketPath(from)) wrong.push(place);
    // Another image service, such as one of a snapshotter, stays in use.
    else if (RUNTIME.includes(place.name))
      obstacles.push(`${path}: ${place.name} is ${place.value}, which is not of this node's containerd or crid`);
  }
  if (wrong.length === 0) return [];
  if (REPLACED.test(path)) {
    obstacles.push(
      `${path}: ${wrong[0]?.name} is in a file that a package or a boot replaces: set it in /etc, then repeat`,
    );
    return [];
  }
  return [{ path, before: file, after: { ...file, text: withEndpoints(file.text, wrong, `unix://${to}`) } }];
}

/** Sets the key in the kubelet's configuration, which does not name a socket. */
function withSocket({ path, file, places }: Found, to: string): FileChange {
  const [key = ''] = KUBELET_KEYS;
  const empty = places.filter(({ name }) => name === key);
  const text =
    empty.length > 0 ? withEndpoints(file.text, empty, `unix://${to}`) : withLine(file.text, key, `unix://${to}`);
  return { path, before: file, after: { ...file, text } };
}

/** The drop-in also starts crid with the kubelet, so it must be gone after the move back. */
async function dropIn(
  node: NodeFiles,
  units: readonly (readonly [string, NodeFile])[],
  {
    direction,
    isUnit,
    obstacles,
  }: { readonly direction: Direction; readonly isUnit: boolean; readonly obstacles: string[] },
): Promise<FileChange[]> {
  const naming = units.filter(([, { text }]) => /^\s*(Wants|Requires|BindsTo|After)\s*=.*\bcrid\.service/m.test(text));
  if (direction === 'to-crid') {
    if (!isUnit || naming.length > 0) return [];
    const [existing] = await readAll(node, [DROP_IN], obstacles);
    if (!existing) return [{ path: DROP_IN, before: undefined, after: newFile(DROP_IN_TEXT) }];
    if (existing[1].text !== DROP_IN_TEXT)
      obstacles.push(`${DROP_IN}: exists, and does not order the kubelet after crid.service: rename it, then repeat`);
    return [];
  }
  return naming.flatMap(([path, file]): FileChange[] => {
    if (path === DROP_IN && file.text === DROP_IN_TEXT) return [{ path, before: file, after: undefined }];
    if (/^\s*(Wants|Requires|BindsTo)\s*=.*\bcrid\.service/m.test(file.text)) {
      obstacles.push(`${path}: it starts crid with the kubelet: remove crid.service from it, then repeat`);
    }
    return [];
  });
}

async function yamlPaths(node: NodeFiles, config: string, flagged: readonly Found[]): Promise<string[]> {
  const folder = optionOf(flagged, '--config-dir');
  const names = folder === undefined ? [] : (await node.names(folder)).filter((name) => name.endsWith('.conf'));
  return [...new Set([config, INSTANCE_CONFIG, ...names.map((name) => `${folder}/${name}`)])];
}

/** Reads the files that exist. */
async function readAll(
  node: NodeFiles,
  paths: readonly string[],
  obstacles: string[],
): Promise<(readonly [string, NodeFile])[]> {
  const found: (readonly [string, NodeFile])[] = [];
  for (const path of paths) {
    try {
      const file = await node.read(path);
      if (file) found.push([path, file]);
    } catch (thrown) {
      obstacles.push(CriError.from(thrown).message);
    }
  }
  return found;
}

/** Returns the last absolute path that the flag has in the files. */
function optionOf(flagged: readonly Found[], flag: string): string | undefined {
  const expression = new RegExp(`^(?!\\s*[#;]).*${flag}(?:=|[ \\t]+)["']?(/[^\\s"']+)`, 'gm');
  const values = flagged.flatMap(({ file }) => [...file.text.matchAll(expression)].map(([, value]) => value));
  return values.at(-1);
}

const socketPath = (endpoint: string): string => withoutScheme(endpoint).replace(/^\/var\/run\//, '/run/');
