import { isIP, isIPv4, SocketAddress } from 'node:net';
import { CriError } from '../base/errors.js';
import { atLeast } from './cni-version.js';
import { isObject, type JsonObject } from './json.js';
import type { CniResult } from './network.js';
import { DEFAULT_INTERFACE } from './target.js';

type Interface = CniResult['Interfaces'][string];
type IPConfig = { readonly IP: string; readonly Gateway: string };
type Route = NonNullable<CniResult['Routes']>[number];

/**
 * Merges the results of a pod's networks into one, as containerd's CRI keeps it: interfaces of all networks by name (a
 * later one replaces an earlier one of the same name), addresses under the interface they point to, or under eth0.
 * UNKNOWN, naming the network and the field: a malformed result; RESOURCE_EXHAUSTED: the result exceeds
 * `MAX_RESULT_BYTES`.
 */
export function toCniResult(results: readonly { readonly network: string; readonly result: JsonObject }[]): CniResult {
  const interfaces = new Map<string, Omit<Interface, 'IPConfigs'> & { IPConfigs: IPConfig[] | null }>();
  interfaces.set(DEFAULT_INTERFACE, { ...NO_INTERFACE });
  const dns: NonNullable<CniResult['DNS']>[number][] = [];
  const routes: Route[] = [];
  for (const { network, result } of results) {
    const bad = (field: string, problem: string): CriError =>
      new CriError('UNKNOWN', `invalid result of network ${network}: ${field}: ${problem}`);
    const named = objects(result.interfaces);
    for (const entry of named) {
      interfaces.set(text(entry.name), {
        IPConfigs: null,
        Mac: text(entry.mac),
        Sandbox: text(entry.sandbox),
        PciID: text(entry.pciID),
        SocketPath: text(entry.socketPath),
      });
    }
    for (const [index, ip] of addresses(result).entries()) {
      const name = interfaceOf(ip, named, (problem) => bad(`ips[${index}].interface`, problem));
      const holder = interfaces.get(name);
      if (!holder) throw bad(`ips[${index}].interface`, `no interface ${name}`);
      const gateway = text(ip.gateway);
      (holder.IPConfigs ??= []).push({
        IP: address(text(ip.address).split('/')[0] ?? '', (problem) => bad(`ips[${index}].address`, problem)),
        Gateway: gateway === '' ? '' : address(gateway, (problem) => bad(`ips[${index}].gateway`, problem)),
      });
    }
    dns.push(dnsOf(result.dns));
    routes.push(...routesOf(result).map((route) => ({ ...route, dst: text(route.dst) })));
  }
  const sorted = [...interfaces].sort(([left], [right]) => (left < right ? -1 : 1));
  return withinBound({
    Interfaces: Object.fromEntries(sorted),
    DNS: dns.length > 0 ? dns : null,
    Routes: routes.length > 0 ? routes : null,
  });
}

/** The result becomes part of the pod's record. */
export const MAX_RESULT_BYTES = 1 << 20;

function withinBound(result: CniResult): CniResult {
  const bytes = Buffer.byteLength(JSON.stringify(result));
  if (bytes <= MAX_RESULT_BYTES) return result;
  const problem = `the results of the pod's networks have ${bytes} bytes, more than ${MAX_RESULT_BYTES}`;
  throw new CriError('RESOURCE_EXHAUSTED', problem);
}

const NO_INTERFACE = { IPConfigs: null, Mac: '', Sandbox: '', PciID: '', SocketPath: '' };

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const objects = (value: unknown): JsonObject[] => (Array.isArray(value) ? value.filter(isObject) : []);

/** Before 0.3.0 a result had one `ip4` and one `ip6`, each with routes of its own, and named no interfaces. */
const oldStyle = (result: JsonObject): JsonObject[] =>
  atLeast(text(result.cniVersion), '0.3.0') ? [] : [result.ip4, result.ip6].filter(isObject);

const addresses = (result: JsonObject): JsonObject[] => [
  ...objects(result.ips),
  ...oldStyle(result).map((old) => ({ address: old.ip, gateway: old.gateway })),
];

const routesOf = (result: JsonObject): JsonObject[] => [
  ...objects(result.routes),
  ...oldStyle(result).flatMap((old) => objects(old.routes)),
];

function interfaceOf(ip: JsonObject, named: readonly JsonObject[], bad: (problem: string) => CriError): string {
  const index = ip.interface;
  if (index === undefined || index === null) return DEFAULT_INTERFACE;
  const target = typeof index === 'number' ? named[index] : undefined;
  if (!target) throw bad(`${JSON.stringify(index)} is not one of ${named.length} interfaces`);
  return text(target.name);
}

/** Formats an address as Go does: IPv6 compressed and in lower case, an IPv4-mapped address as IPv4. */
function address(ip: string, bad: (problem: string) => CriError): string {
  if (isIP(ip) === 0) throw bad(`${JSON.stringify(ip)} is not an address`);
  if (isIPv4(ip)) return ip;
  const canonical = new SocketAddress({ address: ip, family: 'ipv6' }).address;
  return canonical.startsWith('::ffff:') && isIPv4(canonical.slice(7)) ? canonical.slice(7) : canonical;
}

function dnsOf(value: unknown): NonNullable<CniResult['DNS']>[number] {
  if (!isObject(value)) return {};
  const list = (name: string): Record<string, string[]> => {
    const items = value[name];
    return Array.isArray(items) && items.length > 0 ? { [name]: items.filter((item) => typeof item === 'string') } : {};
  };
  const domain = text(value.domain);
  return { ...list('nameservers'), ...(domain !== '' ? { domain } : {}), ...list('search'), ...list('options') };
}
