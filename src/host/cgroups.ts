import { CriError } from '../base/errors.js';
/** Which knobs the kernel and this host's hierarchy offer. */
export interface CgroupControllers {
  /** Controllers in force: `cpu`, `cpuset`, `memory`, `pids`, `hugetlb`, … */
  readonly names: ReadonlySet<string>;
  /** Whether swap is accounted, so that a swap limit can be set. */
  readonly memorySwap: boolean;
}
export function cgroupVersion(): 1 | 2 {
  throw new CriError('UNIMPLEMENTED', 'cgroupVersion');
}
/** controller → path below its hierarchy; `` for the unified one. */
export async function cgroupPathsOf(_pid: number): Promise<ReadonlyMap<string, string> | undefined> {
  throw new CriError('UNIMPLEMENTED', 'cgroupPathsOf');
}
export async function oomKillCount(_of: number | string): Promise<number | undefined> {
  throw new CriError('UNIMPLEMENTED', 'oomKillCount');
}
export async function cgroupControllers(): Promise<CgroupControllers> {
  throw new CriError('UNIMPLEMENTED', 'cgroupControllers');
}
