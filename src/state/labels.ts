/** Labels on containerd's records, as crid and containerd's CRI plugin use them. */

type Labels = Readonly<Record<string, string>>;

/** Distinguishes pods and containers of Kubernetes from other containers in the namespace. */
export const KIND_LABEL = 'io.cri-containerd.kind';
/** On the sandbox record until the pod is complete; a restart of crid undoes a pod that still has it. */
export const CREATING_LABEL = 'io.crid.creating';

/**
 * Names the sandbox controller that runs a pod, or `pinned`. The record's own `sandboxer` field cannot: for a pod with
 * a pause container it is `podsandbox`, which containerd's CRI plugin reads.
 */
export const SANDBOXER_LABEL = 'io.crid.sandboxer';

/** On the sandbox record once the pod's network has been released. */
export const RELEASED_LABEL = 'io.crid.released';

/** On the leases that crid makes for pods. */
export const LEASE_LABEL = 'io.crid.pod';

/** On a lease: the time, in RFC 3339, at which containerd deletes it. */
export const EXPIRE_LABEL = 'containerd.io/gc.expire';

export const hasLabels = (labels: Labels, wanted: Labels): boolean =>
  Object.entries(wanted).every(([key, value]) => labels[key] === value);
