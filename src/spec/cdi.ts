/** Edits of a Container Device Interface spec (CDI 1.0, containerEdits), its devices' numbers filled in by the caller. */
export interface CdiEdits {
  readonly env?: readonly string[];
  readonly deviceNodes?: readonly CdiDeviceNode[];
  readonly mounts?: readonly CdiMount[];
  readonly hooks?: readonly CdiHook[];
  readonly additionalGids?: readonly number[];
  readonly netDevices?: readonly { readonly hostInterfaceName: string; readonly name: string }[];
  readonly intelRdt?: Readonly<Record<string, unknown>>;
}

export interface CdiDeviceNode {
  /** Inside the container. */
  readonly path: string;
  /** On the host; `path` when unset. */
  readonly hostPath?: string;
  readonly type?: string;
  readonly major?: number;
  readonly minor?: number;
  readonly fileMode?: number;
  readonly permissions?: string;
  readonly uid?: number;
  readonly gid?: number;
}

export interface CdiMount {
  readonly hostPath: string;
  readonly containerPath: string;
  readonly options?: readonly string[];
  readonly type?: string;
}

export interface CdiHook {
  /** `prestart`, `createRuntime`, `createContainer`, `startContainer`, `poststart` or `poststop`. */
  readonly hookName: string;
  readonly path: string;
  readonly args?: readonly string[];
  readonly env?: readonly string[];
  readonly timeout?: number;
}
