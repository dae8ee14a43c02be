/**
 * The fields of the OCI image config (image-spec, config.md) that crid uses, under the keys of the spec. Any field may
 * be missing or null, since many tools write images.
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
