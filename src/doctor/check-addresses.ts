import type { Config } from '../config/schema.js';
import { warning, type Finding } from './finding.js';

const ALL_ADDRESSES = ['', '0.0.0.0', '[::]', '[::0]'];

/** Warns of metrics that crid serves to other hosts. */
export function checkAddresses({ metrics_address: address }: Pick<Config['crid'], 'metrics_address'>): Finding[] {
  const host = address.slice(0, address.lastIndexOf(':'));
  if (address === '' || !ALL_ADDRESSES.includes(host)) return [];
  const problem = 'listens on all addresses, without TLS and without authentication';
  return [warning('metrics', `crid.metrics_address "${address}" ${problem}: set one address, such as 127.0.0.1`)];
}
