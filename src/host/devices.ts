/** What a device node is, as the OCI runtime spec wants it. */
export interface Device {
  readonly path: string;
  readonly type: 'c' | 'b';
  readonly major: number;
  readonly minor: number;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}
import { CriError } from '../base/errors.js';
export async function statDevice(_path: string): Promise<Device | 'directory' | undefined> {
  throw new CriError('UNIMPLEMENTED', 'statDevice');
}
export async function listDevices(_directory: string): Promise<Device[]> {
  throw new CriError('UNIMPLEMENTED', 'listDevices');
}
