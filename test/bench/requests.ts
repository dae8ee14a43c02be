import { NamespaceMode, type ContainerConfig, type PodSandboxConfig } from '../../generated/runtime/v1/api.js';

export type PodConfig = Parameters<typeof PodSandboxConfig.fromPartial>[0];
export type ContainerRequest = Parameters<typeof ContainerConfig.fromPartial>[0];

/** The label of every pod of the benchmark. */
export const BENCH_LABEL = 'crid-bench';
/** The parent cgroup of every pod of this benchmark. Another one may run at the same time. */
export const CGROUP_PARENT = `/crid-bench-${process.pid}`;

const MEBIBYTE = 1024n * 1024n;

/** Requests similar to a kubelet's for an ordinary pod with one container. */
export interface Requests {
  pod(): PodConfig;
  container(name: string): ContainerRequest;
}

/** `logRoot` gets a folder for each pod. Every pod has a unique name, so that both servers can share a node. */
export function createRequests(options: { image: string; logRoot: string; server: string }): Requests {
  let count = 0;
  return {
    pod: () => {
      const name = `${options.server}-${++count}`;
      return {
        metadata: { name, uid: `uid-${name}`, namespace: 'bench', attempt: 0 },
        hostname: name,
        log_directory: `${options.logRoot}/bench_${name}`,
        dns_config: { servers: ['10.96.0.10'], searches: ['bench.svc.cluster.local'], options: ['ndots:5'] },
        labels: { [BENCH_LABEL]: options.server, 'app.kubernetes.io/name': name },
        annotations: { 'kubernetes.io/config.source': 'api' },
        linux: {
          cgroup_parent: CGROUP_PARENT,
          security_context: {
            namespace_options: {
              network: NamespaceMode.POD,
              pid: NamespaceMode.CONTAINER,
              ipc: NamespaceMode.POD,
            },
          },
        },
      };
    },
    container: (name) => ({
      metadata: { name, attempt: 0 },
      image: { image: options.image },
      // The kernel discards a signal that PID 1 has no handler for.
      command: ['sh', '-c', 'trap "exit 0" TERM; echo started; while :; do sleep 3600 & wait $!; done'],
      envs: [
        { key: 'KUBERNETES_SERVICE_HOST', value: Buffer.from('10.96.0.1') },
        { key: 'KUBERNETES_SERVICE_PORT', value: Buffer.from('443') },
      ],
      labels: { 'io.kubernetes.container.name': name },
      annotations: { 'io.kubernetes.container.restartCount': '0' },
      log_path: `${name}/0.log`,
      linux: {
        resources: { cpu_shares: 102n, memory_limit_in_bytes: 64n * MEBIBYTE },
        security_context: {
          namespace_options: { network: NamespaceMode.POD, pid: NamespaceMode.CONTAINER, ipc: NamespaceMode.POD },
        },
      },
    }),
  };
}
