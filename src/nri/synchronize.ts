import {
  Container,
  PodSandbox,
  type SynchronizeRequest,
  type ContainerUpdate,
  type SynchronizeResponse,
} from '../../generated/nri/v1alpha1/api.js';
import { CriError } from '../base/errors.js';

/** A message of ttrpc holds 4 MiB; the rest is for its envelope and the lengths of fields. */
const PIECE_BYTES = 4 * 2 ** 20 - 4096;
/** The tag and the length of one entry. */
const ENTRY_BYTES = 6;

/**
 * Sends the state of the node in one request, or in several if a message cannot hold it, and returns the updates that
 * the plugin asks for. Throws FAILED_PRECONDITION if the plugin does not know requests in pieces, and
 * RESOURCE_EXHAUSTED if a pod or a container is too large for any message.
 */
export async function synchronizePieces(
  pods: readonly PodSandbox[],
  containers: readonly Container[],
  send: (request: SynchronizeRequest) => Promise<SynchronizeResponse>,
): Promise<ContainerUpdate[]> {
  const pieces = piecesOf(pods, containers);
  for (const [index, piece] of pieces.entries()) {
    const more = index < pieces.length - 1;
    const response = await send({ ...piece, more });
    if (!more) return response.update;
    if (!response.more || response.update.length > 0)
      throw new CriError('FAILED_PRECONDITION', 'the plugin does not know Synchronize in pieces');
  }
  return [];
}

type Piece = Pick<SynchronizeRequest, 'pods' | 'containers'>;

function piecesOf(pods: readonly PodSandbox[], containers: readonly Container[]): Piece[] {
  let piece: Piece = { pods: [], containers: [] };
  const pieces = [piece];
  let left = PIECE_BYTES;
  const fit = (kind: string, id: string, bytes: number): void => {
    if (bytes > PIECE_BYTES) throw new CriError('RESOURCE_EXHAUSTED', `${kind} "${id}" has ${bytes} bytes`);
    if (bytes > left) {
      piece = { pods: [], containers: [] };
      pieces.push(piece);
      left = PIECE_BYTES;
    }
    left -= bytes;
  };
  for (const pod of pods) {
    fit('pod sandbox', pod.id, PodSandbox.encode(pod).finish().length + ENTRY_BYTES);
    piece.pods.push(pod);
  }
  for (const container of containers) {
    fit('container', container.id, Container.encode(container).finish().length + ENTRY_BYTES);
    piece.containers.push(container);
  }
  return pieces;
}
