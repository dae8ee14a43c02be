import { createHash } from 'node:crypto';
import { CriError } from '../base/errors.js';
import type { Direction, FileChange, NodeFile, NodeFiles } from './move-node.js';

/** Where a move keeps its records and the copies of the files that it changes. */
export const MOVE_FOLDER = '/var/lib/crid/migrate';

/** The state of the node before a move, for its undo, for a repeat after a kill, and for the move back. */
export interface MoveRecord {
  readonly version: 1;
  /** False while the move is in progress, and after a kill. */
  readonly done: boolean;
  readonly kubeletActive: boolean;
  /** Whether systemd was starting the kubelet again and again, as before the node has joined a cluster. */
  readonly kubeletFails?: boolean;
  readonly cridActive: boolean;
  readonly cridEnabled: boolean;
  /** Whether containerd served the CRI. */
  readonly pluginOn: boolean;
  /** The containers that ran when the kubelet had stopped. */
  readonly running?: readonly string[] | undefined;
  readonly files: SavedFiles;
  /** Files that an earlier move in this direction changed, and that are still as it wrote them. */
  readonly earlier?: SavedFiles | undefined;
}

type SavedFiles = Readonly<Record<string, SavedFile>>;

interface SavedFile extends Pick<NodeFile, 'mode' | 'uid' | 'gid'> {
  /** Whether there was a file before; its copy is below `files/`. */
  readonly existed: boolean;
  /** The SHA-256 of what the move wrote, "" if it removed the file. */
  readonly written: string;
}

export interface Records {
  load(direction: Direction): Promise<MoveRecord | undefined>;
  save(direction: Direction, record: MoveRecord): Promise<void>;
  /**
   * Copies the file before a change, and returns the record with it. `isAgain` is whether this run has changed the file
   * already, so that the copy stays.
   */
  keep(direction: Direction, record: MoveRecord, change: FileChange, isAgain: boolean): Promise<MoveRecord>;
  /** Returns a file as it was before the move. */
  original(direction: Direction, record: MoveRecord, path: string): Promise<NodeFile | undefined>;
}

export function createRecords(files: NodeFiles): Records {
  const recordPath = (direction: Direction): string => `${MOVE_FOLDER}/${direction}/record.json`;
  const copyPath = (direction: Direction, path: string): string => `${MOVE_FOLDER}/${direction}/files${path}`;
  const save = (direction: Direction, record: MoveRecord): Promise<void> =>
    files.write(recordPath(direction), privateFile(`${JSON.stringify(record, undefined, 2)}\n`));
  return {
    save,
    async load(direction) {
      const file = await files.read(recordPath(direction));
      return file && parseRecord(recordPath(direction), file.text);
    },
    async keep(direction, record, { path, before, after }, isAgain) {
      const saved = record.files[path];
      const withEntry = async (entry: SavedFile): Promise<MoveRecord> => {
        const next = { ...record, files: { ...record.files, [path]: entry } };
        await save(direction, next);
        return next;
      };
      const written = hashOf(after);
      // A repeat after a kill finds what was written, and must not copy that.
      if (saved && (isAgain || hashOf(before) === saved.written))
        return saved.written === written ? record : withEntry({ ...saved, written });
      if (before) await files.write(copyPath(direction, path), { ...privateFile(before.text) });
      const { mode, uid, gid } = before ?? privateFile('');
      return withEntry({ existed: before !== undefined, mode, uid, gid, written });
    },
    async original(direction, record, path) {
      const saved = savedFiles(record)[path];
      if (!saved?.existed) return undefined;
      const copy = await files.read(copyPath(direction, path));
      if (!copy) throw new CriError('DATA_LOSS', `${copyPath(direction, path)}: the copy of ${path} is missing`);
      const { mode, uid, gid } = saved;
      return { text: copy.text, mode, uid, gid };
    },
  };
}

/** Whether the file is still as the move wrote it. */
export function isAsWritten(record: MoveRecord, path: string, now: NodeFile | undefined): boolean {
  const saved = savedFiles(record)[path];
  return saved !== undefined && saved.written === hashOf(now);
}

/** Returns the files of the record that are still as the move wrote them. */
export async function stillAsWritten(node: NodeFiles, record: MoveRecord): Promise<SavedFiles> {
  const kept: Record<string, SavedFile> = {};
  for (const [path, saved] of Object.entries(savedFiles(record))) {
    if (isAsWritten(record, path, await node.read(path))) kept[path] = saved;
  }
  return kept;
}

const savedFiles = ({ files, earlier }: MoveRecord): SavedFiles => ({ ...earlier, ...files });

function parseRecord(path: string, text: string): MoveRecord {
  const problem = `${path} cannot be read: move it away, then repeat`;
  try {
    const record = JSON.parse(text) as MoveRecord;
    if (record.version === 1) return record;
  } catch (thrown) {
    throw new CriError('FAILED_PRECONDITION', problem, { cause: thrown });
  }
  throw new CriError('FAILED_PRECONDITION', problem);
}

/** The copies may hold credentials of registries. */
const privateFile = (text: string): NodeFile => ({
  text,
  mode: 0o600,
  uid: process.getuid?.() ?? 0,
  gid: process.getgid?.() ?? 0,
});

const hashOf = (file: NodeFile | undefined): string =>
  file ? createHash('sha256').update(file.text).digest('hex') : '';
