import { isIPv4 } from 'node:net';
import type { CniResult } from './network.js';
import { DEFAULT_INTERFACE } from './target.js';

export type IpPreference = 'ipv4' | 'ipv6' | 'cni' | '';

/** Returns the addresses of eth0: the preferred one first ('' is ipv4), the others in the order of the CNI result. */
export function podIps(result: CniResult, preference: IpPreference): string[] {
  const ips = (result.Interfaces[DEFAULT_INTERFACE]?.IPConfigs ?? []).map(({ IP }) => IP);
  if (preference === 'cni') return ips;
  const first = ips.find((ip) => isIPv4(ip) === (preference !== 'ipv6'));
  return first === undefined ? ips : [first, ...ips.filter((ip) => ip !== first)];
}
