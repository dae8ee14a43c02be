import type { LinuxContainerResources } from '../../../generated/runtime/v1/api.js';
import { invalidArgument } from '../../base/errors.js';
import { checkRange } from './text-checks.js';

/**
 * INVALID_ARGUMENT for a number or a list that no cgroup accepts; otherwise the runtime would fail later. -1 means "no
 * limit" for memory; any negative number does for the CPU quota.
 */
export function checkResources(resources: LinuxContainerResources | undefined, field: string): void {
  if (resources === undefined) return;
  checkAtLeast(resources.cpu_shares, 0, `${field}.cpu_shares`);
  checkAtLeast(resources.cpu_period, 0, `${field}.cpu_period`);
  checkAtLeast(resources.memory_limit_in_bytes, -1, `${field}.memory_limit_in_bytes`);
  checkAtLeast(resources.memory_swap_limit_in_bytes, -1, `${field}.memory_swap_limit_in_bytes`);
  checkRange(resources.oom_score_adj, -1000, 1000, `${field}.oom_score_adj`);
  checkCpuList(resources.cpuset_cpus, `${field}.cpuset_cpus`);
  checkCpuList(resources.cpuset_mems, `${field}.cpuset_mems`);
  for (const [index, { page_size }] of resources.hugepage_limits.entries()) {
    // The page size becomes part of a file name: hugetlb.2MB.max.
    if (!/^\d+[KMG]B$/.test(page_size)) {
      throw invalidArgument(
        `${field}.hugepage_limits[${index}].page_size`,
        `expected such as 2MB, received "${page_size}"`,
      );
    }
  }
  for (const key of Object.keys(resources.unified)) {
    const where = `${field}.unified[${JSON.stringify(key)}]`;
    if (!/^[a-z0-9_]+(\.[A-Za-z0-9_]+)+$/.test(key)) throw invalidArgument(where, 'is not the name of a cgroup file');
  }
}

function checkAtLeast(value: bigint, lowest: number, field: string): void {
  if (value < lowest) throw invalidArgument(field, `expected ${lowest} or more, received ${value}`);
}

/** The list format of cpuset(7): `0-3,7`. The kernel and runc accept blanks between the parts. */
function checkCpuList(list: string, field: string): void {
  if (!/^(\d+(-\d+(:\d+\/\d+)?)?(,\d+(-\d+(:\d+\/\d+)?)?)*)?$/.test(list.replaceAll(' ', ''))) {
    throw invalidArgument(field, `expected a list such as 0-3,7, received "${list}"`);
  }
}
