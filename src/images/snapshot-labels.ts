import type { Labels } from '../containerd/containerd.js';
import type { ImageLayer } from '../state/image-layers.js';

const PREFIX = 'containerd.io/snapshot/';
/** containerd's limit for a label's key and value together. */
const MAX_LABEL_BYTES = 4096;

/** The image whose layers are unpacked, for the labels of a snapshotter that fetches layers itself. */
export interface LayersOf {
  readonly reference: string;
  readonly manifest: string;
}

/**
 * Returns the labels of a layer's snapshot, as containerd's unpacker sets them: the chain id, the diff id and the
 * parent, the layer's annotations for the snapshotter, and the image unless `image` is undefined
 * (`disable_snapshot_annotations`).
 */
export function snapshotLabels(layers: readonly ImageLayer[], index: number, image: LayersOf | undefined): Labels {
  const layer = layers[index];
  if (!layer) return {};
  const below = layers[index - 1];
  return {
    ...Object.fromEntries(
      Object.entries(layer.blob.annotations).filter(([key]) => key === REFERENCE || key.startsWith(PREFIX)),
    ),
    ...(image && imageLabels(layers.slice(index), image)),
    [REFERENCE]: layer.chainId,
    [`${PREFIX}diff-id`]: layer.diffId,
    ...(below && { [`${PREFIX}parent-chain-id`]: below.chainId }),
  };
}

const REFERENCE = 'containerd.io/snapshot.ref';

function imageLabels(layers: readonly ImageLayer[], { reference, manifest }: LayersOf): Labels {
  const key = `${PREFIX}cri.image-layers`;
  let digests = '';
  for (const { blob } of layers) {
    const more = digests === '' ? blob.digest : `${digests},${blob.digest}`;
    if (key.length + more.length > MAX_LABEL_BYTES) break;
    digests = more;
  }
  return {
    [`${PREFIX}cri.image-ref`]: reference,
    [`${PREFIX}cri.layer-digest`]: layers[0]?.blob.digest ?? '',
    [key]: digests,
    [`${PREFIX}cri.manifest-digest`]: manifest,
  };
}
