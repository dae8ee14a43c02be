/** The programs that are built from Go modules. `containerd` includes its shim and `ctr`. */
export const goTools = ['containerd', 'crictl', 'critest', 'kubelet', 'kubeadm', 'promtool', 'kind'] as const;
export type GoTool = (typeof goTools)[number];

/** A version of a Go module, such as `v1.37.2`, and the programs that are built from it together. */
export interface GoModule {
  readonly module: string;
  readonly version: string;
  /** The last one is complete only when all others are. */
  readonly programs: readonly string[];
  /** Whether the module itself is the package of its only program. */
  readonly isModule?: boolean;
}

/** The long-term support branch of containerd. */
const CONTAINERD = '2.3.7';
/** crictl and critest. Their minor version is that of the CRI that crid serves. */
const CRI_TOOLS = '1.37.0';
const KUBELET = '1.37.2';
const PROMETHEUS = '0.316.0';
const KIND = '0.33.0';

/** The variables that choose versions. */
export const VERSIONS = ['CRID_CONTAINERD', 'CRID_CRI_TOOLS', 'CRID_KUBELET'] as const;
/** The value of CRID_CONTAINERD for the containerd of the Debian packages. */
export const PACKAGED = 'debian';
const VERSION = /^v?(\d+\.\d+\.\d+(?:-[\w.]+)?)$/;

/** Returns the module of a program, in the version of `CRID_CONTAINERD`, `CRID_CRI_TOOLS` or `CRID_KUBELET`. */
export function goModule(tool: GoTool, env: NodeJS.ProcessEnv = process.env): GoModule {
  const version = (name: (typeof VERSIONS)[number], usual: string): string => {
    const text = env[name] || usual;
    const [, number] = VERSION.exec(text) ?? [];
    if (number === undefined) throw new Error(`${name}=${text} is not a version such as ${usual}`);
    return `v${number}`;
  };
  switch (tool) {
    case 'containerd':
      return {
        module: 'github.com/containerd/containerd/v2',
        version: version('CRID_CONTAINERD', CONTAINERD),
        programs: ['ctr', 'containerd-shim-runc-v2', 'containerd'],
      };
    case 'kubelet':
    case 'kubeadm':
      return { module: 'k8s.io/kubernetes', version: version('CRID_KUBELET', KUBELET), programs: [tool] };
    case 'crictl':
    case 'critest':
      return { module: 'sigs.k8s.io/cri-tools', version: version('CRID_CRI_TOOLS', CRI_TOOLS), programs: [tool] };
    case 'promtool':
      return { module: 'github.com/prometheus/prometheus', version: `v${PROMETHEUS}`, programs: [tool] };
    case 'kind':
      return { module: 'sigs.k8s.io/kind', version: `v${KIND}`, programs: [tool], isModule: true };
  }
}

/** Whether stacks use the containerd of the Debian packages. */
export const usesPackagedContainerd = (env: NodeJS.ProcessEnv = process.env): boolean =>
  env['CRID_CONTAINERD'] === PACKAGED;

/** Returns the arguments of `go` that compile a program. critest is a compiled Go test (go test -c). */
export function compileArgs(tool: GoTool, { module, version }: GoModule): string[] {
  const build = (variables: Readonly<Record<string, string>>, ...more: string[]): string[] => {
    const set = Object.entries(variables).map(([name, value]) => `-X ${name}=${value}`);
    return ['build', ...more, '-ldflags', ['-s -w', ...set].join(' ')];
  };
  switch (tool) {
    case 'critest':
      return ['test', '-c'];
    case 'crictl':
    case 'kind':
      return build({});
    case 'promtool':
      // Without these tags it would have the clients of twenty clouds.
      return build({}, '-tags', 'remove_all_sd,enable_kubernetes_sd');
    case 'containerd':
      // These snapshotters need C libraries.
      return build({ [`${module}/version.Version`]: version }, '-tags', 'no_btrfs no_zfs no_devmapper');
    case 'kubelet':
    case 'kubeadm': {
      const [, major = '', minor = ''] = /^v(\d+)\.(\d+)/.exec(version) ?? [];
      const facts = { gitVersion: version, gitMajor: major, gitMinor: minor };
      const named = Object.entries(facts).map(([name, value]) => [`k8s.io/component-base/version.${name}`, value]);
      return build(Object.fromEntries(named) as Record<string, string>);
    }
  }
}
