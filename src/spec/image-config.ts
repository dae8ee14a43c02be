/**
 * The OCI image config (image-spec, config.md), as far as a container is made of it. Its keys are the spec's own; every
 * one may be missing or null, since images are written by many tools.
 */
export interface ImageConfig {
  readonly architecture?: string;
  readonly os?: string;
  readonly variant?: string;
  readonly config?: ImageExecution | null;
  readonly rootfs?: { readonly type?: string; readonly diff_ids?: readonly string[] };
}

export interface ImageExecution {
  /** `user`, `uid`, `user:group`, `uid:gid`, `uid:group` or `user:gid`. */
  readonly User?: string;
  readonly Env?: readonly string[] | null;
  readonly Entrypoint?: readonly string[] | null;
  readonly Cmd?: readonly string[] | null;
  readonly WorkingDir?: string;
  /** Absolute paths in the rootfs, as keys. */
  readonly Volumes?: Readonly<Record<string, object>> | null;
  readonly StopSignal?: string;
}
