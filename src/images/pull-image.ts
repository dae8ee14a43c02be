import type { PullImageRequest, PullImageResponse } from '../../generated/runtime/v1/api.js';
import { CriError } from '../base/errors.js';
import type { Caller } from '../operation/operation.js';
import { parseReference } from '../state/image-reference.js';
import type { ImageDeps } from './image-deps.js';
import { pull } from './pull.js';

/** The annotation with which kubelets named the handler before CRI had a field for it. */
export const HANDLER_ANNOTATION = 'io.containerd.cri.runtime-handler';

/**
 * Pulls and unpacks an image (CRI PullImage) and returns its id, the digest of its config. Equal pulls share one
 * operation. INVALID_ARGUMENT: the reference, the credentials or the runtime handler are invalid; NOT_FOUND: the
 * registry does not have the image, or not for this platform; UNAUTHENTICATED, PERMISSION_DENIED: the registry denies
 * access. An error with a reason for the kubelet is UNKNOWN: RegistryUnavailable, if the registry cannot be reached or
 * fails, or there was no progress for `image_pull_progress_timeout`; SignatureValidationFailed, if an image verifier of
 * containerd refused the image.
 */
export const pullImage =
  (deps: ImageDeps) =>
  async (request: PullImageRequest, caller: Caller): Promise<PullImageResponse> => {
    const reference = parseReference(request.image?.image ?? '', 'image.image');
    const handler = request.image?.runtime_handler || request.sandbox_config?.annotations[HANDLER_ANNOTATION] || '';
    const { snapshotter } = deps.handlers.get(handler);
    const image = await pull(deps, { reference, snapshotter, auth: request.auth }, caller).catch(rethrowForKubelet);
    return { image_ref: image.id };
  };

/**
 * The kubelet's client of the CRI puts the code before the message, unless it is UNKNOWN, and the kubelet then does not
 * find the reason (k8s.io/cri-client, pkg/remote_image.go).
 */
function rethrowForKubelet(thrown: unknown): never {
  const error = CriError.from(thrown);
  if (error.reason === undefined) throw error;
  throw new CriError('UNKNOWN', error.detail, { cause: error, reason: error.reason });
}
