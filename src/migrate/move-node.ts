import type { ContainerdFiles } from '../config/containerd-config.js';
import type { Tree } from '../config/tree.js';

/** A text file of the node, with the parts of its metadata that a replacement keeps. */
export interface NodeFile {
  readonly text: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** The files of the node, by absolute paths. */
export interface NodeFiles {
  /** Returns undefined when there is no such file. */
  read(path: string): Promise<NodeFile | undefined>;
  /** Returns the names in a folder, sorted; none when there is no such folder. */
  names(folder: string): Promise<string[]>;
  /** Replaces the file in one step and follows a symbolic link; makes missing folders. */
  write(path: string, file: NodeFile): Promise<void>;
  /** Succeeds when there is no such file. */
  remove(path: string): Promise<void>;
  /** Reads containerd's config.toml with its imports; undefined when there is none. */
  containerdConfig(path: string): Promise<ContainerdConfig | undefined>;
}

export interface ContainerdConfig extends Pick<ContainerdFiles, 'criPluginDisabled' | 'criPluginRequired'> {
  readonly files: readonly { readonly path: string; readonly tree: Tree }[];
}

export interface Ran {
  /** The exit code; 127 when the program is missing or was killed. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * `off` is a process without the CRI, such as a containerd whose plugin is disabled. `unknown` is everything else:
 * nothing listens, the server does not respond, or the plugin still initialises.
 */
export type CriState = 'on' | 'off' | 'unknown';

/** Everything that a move asks of a node and does to it. */
export interface MoveNode extends NodeFiles {
  /** Runs a program; never rejects. */
  run(program: string, args: readonly string[]): Promise<Ran>;
  /** Asks the running containerd for its version, and says why crid cannot use it. */
  containerdVersion(): Promise<{ readonly version: string; readonly problem: string | undefined }>;
  /** Asks for the CRI server on the socket once; never rejects. */
  criAt(socket: string): Promise<CriState>;
  /** Lists the containers of the CRI server on the socket. */
  containers(socket: string): Promise<{ readonly id: string; readonly running: boolean }[]>;
  /** Returns the ids of the pods that have no pause container, which containerd's CRI plugin cannot take. */
  pinnedPods(): Promise<string[]>;
}

export type Direction = 'to-crid' | 'back';

/** The sockets of both servers, as paths. */
export interface Sockets {
  readonly crid: string;
  readonly containerd: string;
}

export interface FileChange {
  readonly path: string;
  readonly before: NodeFile | undefined;
  /** Undefined removes the file. */
  readonly after: NodeFile | undefined;
}

/** The metadata of a file that the move creates. */
export const newFile = (text: string): NodeFile => ({ text, mode: 0o644, uid: 0, gid: 0 });
