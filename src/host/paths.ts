import { CriError } from '../base/errors.js';
export async function ensureDirectory(_path: string, _mode = 0o700): Promise<void> {
  throw new CriError('UNIMPLEMENTED', 'ensureDirectory');
}
export async function writeFileAtomic(_path: string, _data: string | Uint8Array, _mode = 0o600): Promise<void> {
  throw new CriError('UNIMPLEMENTED', 'writeFileAtomic');
}
export async function removeTree(_path: string): Promise<void> {
  throw new CriError('UNIMPLEMENTED', 'removeTree');
}
