/**
 * The only error that crid throws on purpose. Adapters (containerd, errno, CNI) translate foreign errors into it, and
 * the CRI server's middleware turns it into a gRPC status.
 */

/** gRPC status codes by name (https://grpc.github.io/grpc/core/md_doc_statuscodes.html), with their wire numbers. */
export const Code = {
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

export type CodeName = keyof typeof Code;

/**
 * Causes that a kubelet recognises by the first word of a message (k8s.io/cri-api, pkg/errors), where its pkg/kubelet
 * reads that word.
 */
export type Reason =
  'RegistryUnavailable' | 'SignatureValidationFailed' | 'ImageVolumeMountFailed' | 'SecurityProfileInvalid';

/**
 * An error with a gRPC code. Messages are lower case, name the id, path or field, and end without a full stop. A reason
 * is always the first word of the message.
 */
export class CriError extends Error {
  override readonly name = 'CriError';
  readonly reason: Reason | undefined;
  /** The message without the reason. */
  readonly detail: string;

  constructor(
    readonly code: CodeName,
    message: string,
    { reason, ...options }: { cause?: unknown; reason?: Reason | undefined } = {},
  ) {
    super(reason === undefined ? message : `${reason}: ${message}`, options);
    this.reason = reason;
    this.detail = message;
  }

  /**
   * Converts anything thrown to a CriError. A CriError is returned unchanged, everything else becomes `UNKNOWN` with
   * its message.
   */
  static from(thrown: unknown): CriError {
    if (thrown instanceof CriError) return thrown;
    if (thrown instanceof Error) return new CriError('UNKNOWN', thrown.message, { cause: thrown });
    return new CriError('UNKNOWN', String(thrown));
  }

  /**
   * Returns the same error with a short verb phrase before its message: `prefixed('create task')` reads `create task:
   * …`. A reason stays the first word.
   */
  prefixed(doing: string): CriError {
    return new CriError(this.code, `${doing}: ${this.detail}`, { cause: this, reason: this.reason });
  }

  /** Returns the same error with a reason for the kubelet. */
  because(reason: Reason): CriError {
    return new CriError(this.code, this.detail, { cause: this, reason });
  }
}

/**
 * Returns an error for a bad request. `field` is the path of the CRI field in the request, such as
 * `config.metadata.name`.
 */
export const invalidArgument = (field: string, problem: string): CriError =>
  new CriError('INVALID_ARGUMENT', `${field}: ${problem}`);

export const notFound = (kind: string, id: string): CriError => new CriError('NOT_FOUND', `${kind} "${id}" not found`);

export const isCode = (thrown: unknown, code: CodeName): thrown is CriError =>
  thrown instanceof CriError && thrown.code === code;

/** Runs `work` and rethrows its error as a CriError that says what was being done. */
export async function doing<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    throw CriError.from(thrown).prefixed(what);
  }
}

/** Runs `work` and rethrows its error as a CriError with a reason for the kubelet. */
export async function because<T>(reason: Reason, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    throw CriError.from(thrown).because(reason);
  }
}

/**
 * For `switch` statements over closed unions: a missing case fails to compile, and a foreign value fails at run time.
 */
export function assertNever(value: never, what = 'value'): never {
  throw new CriError('INTERNAL', `unexpected ${what}: ${String(value)}`);
}
