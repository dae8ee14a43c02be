import { closeSync } from 'node:fs';
import { copyFile, writeFile } from 'node:fs/promises';
import { dirname, relative } from 'node:path';
import type { ContainerRecord } from '../containerd/containerd.js';
import { readFileBeneath } from '../host/files/open-beneath.js';
import { translated } from '../host/syscall/errno.js';
import { logDirectoryOf } from '../spec/log-path.js';
import { containerStatusOf } from '../state/cri-view.js';
import { stringifyGoJson, toGoJson } from '../state/go-json.js';
import type { ImageCache } from '../state/image-cache.js';
import type { Container } from '../state/records.js';
import { toStoredStatus } from '../state/status-conversion.js';
import { encodePluginStatus } from '../state/stored.js';

/** Returns the text files of an archive by name. podman, CRI-O and containerd use the same names. */
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
    // A file of containerd's CRI plugin; tools recognise the plugin's archives by it.
    status: encodePluginStatus(toStoredStatus(container)),
  };
}

const GO_ZERO_TIME = '0001-01-01T00:00:00Z';

/** Writes the text files, and a copy of the log as it is now. */
export async function writeCheckpointFiles(
  texts: Readonly<Record<string, string | Uint8Array>>,
  container: Pick<Container, 'logPath' | 'config'>,
  file: (name: string) => string,
): Promise<void> {
  for (const [name, text] of Object.entries(texts)) {
    await translated(file(name), () => writeFile(file(name), text, { mode: 0o600 }));
  }
  // A log may be rotated away at any time; a container without a log has none in the archive.
  const { logPath } = container;
  const directory = logDirectoryOf(container) ?? dirname(logPath);
  const fd = logPath === '' ? undefined : await readFileBeneath({ directory, path: relative(directory, logPath) });
  if (fd === undefined) return;
  try {
    await copyFile(`/proc/self/fd/${fd}`, file('container.log'));
  } finally {
    closeSync(fd);
  }
}
