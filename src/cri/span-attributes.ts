import type { Attributes } from '../base/span.js';

/** The ids and the image in a request or response, under the names that the spans of containerd's CRI plugin use. */
export function spanAttributes(message: unknown): Attributes {
  if (typeof message !== 'object' || message === null) return {};
  const { pod_sandbox_id, container_id, image, config } = message as Readonly<Record<string, unknown>>;
  const found: Record<string, string> = {};
  if (isText(pod_sandbox_id)) found['sandbox.id'] = pod_sandbox_id;
  if (isText(container_id)) found['container.id'] = container_id;
  const reference = referenceIn(image) ?? referenceIn((config as { image?: unknown } | undefined)?.image);
  if (reference !== undefined) found['image.ref'] = reference;
  return found;
}

/** The ids of the pod and of the container in a request or response, under the keys of the log. */
export function idsIn(message: unknown): Readonly<Record<string, string>> {
  if (typeof message !== 'object' || message === null) return {};
  const { pod_sandbox_id, container_id } = message as Readonly<Record<string, unknown>>;
  return {
    ...(isText(pod_sandbox_id) && { pod: pod_sandbox_id }),
    ...(isText(container_id) && { container: container_id }),
  };
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

const referenceIn = (spec: unknown): string | undefined => {
  const reference = (spec as { image?: unknown } | null | undefined)?.image;
  return isText(reference) ? reference : undefined;
};
