import { copyFile, writeFile } from 'node:fs/promises';
import type { ContainerRecord } from '../containerd/containerd.js';
import { errnoName, translated } from '../host/errno.js';
import { containerStatusOf } from '../state/cri-view.js';
import { stringifyGoJson, toGoJson } from '../state/go-json.js';
import type { ImageCache } from '../state/images.js';
import type { Container } from '../state/records.js';
import { toStoredStatus } from '../state/status.js';
import { encodePluginStatus } from '../state/stored.js';

/** What in an archive is only to be told, by the names that podman, CRI-O and containerd have agreed on. */
export function checkpointTexts(
  container: Container,
  record: ContainerRecord,
  images: Pick<ImageCache, 'get'>,
  atMs: number,
): Readonly<Record<string, string | Uint8Array>> {
  const status = containerStatusOf(container, images);
  return {
    'config.dump': JSON.stringify({
      id: container.id,
      name: container.name,
      rootfsImage: status.image?.image ?? '',
      rootfsImageRef: status.image_ref,
      rootfsImageName: status.image?.image ?? '',
      runtime: record.runtime.name,
      createdTime: new Date(Number(container.createdAtNs / 1_000_000n)).toISOString(),
      checkpointedTime: new Date(atMs).toISOString(),
      restoredTime: GO_ZERO_TIME,
      restored: false,
    }),
    'spec.dump': record.spec?.value ?? '{}',
    'status.dump': stringifyGoJson(toGoJson(status)),
    // The file of containerd's CRI plugin, by which tools know whose archive it is.
    status: encodePluginStatus(toStoredStatus(container)),
  };
}

const GO_ZERO_TIME = '0001-01-01T00:00:00Z';

/** Writes them, and a copy of the log as far as it has come. */
export async function writeCheckpointFiles(
  texts: Readonly<Record<string, string | Uint8Array>>,
  logPath: string,
  file: (name: string) => string,
): Promise<void> {
  for (const [name, text] of Object.entries(texts)) {
    await translated(file(name), () => writeFile(file(name), text, { mode: 0o600 }));
  }
  if (logPath === '') return;
  await copyFile(logPath, file('container.log')).catch((thrown: unknown) => {
    // A log may be rotated away at any time; whoever has no log has none in the archive.
    if (errnoName(thrown) !== 'ENOENT') throw thrown;
  });
}
