/** A run of a suite on one version of containerd or of the kubelet. */
export interface Cell {
  /** The words by which `make matrix WORDS=…` selects it, joined: `critest containerd-2.3.7`. */
  readonly name: string;
  readonly suite: string;
  readonly versions: Readonly<{ containerd?: string; kubelet?: string }>;
  /** The feature gates that are on, besides those that the tests set themselves. */
  readonly gates: readonly string[];
  /** Arguments of node, below `build/`. */
  readonly command: readonly string[];
}

/** The branches of containerd 2, by their newest release. */
export const CONTAINERDS = ['2.0.14', '2.1.9', '2.2.9', '2.3.7', '2.4.2'] as const;
/** The minor versions of Kubernetes, by the newest release whose module is there. */
export const KUBELETS = ['1.34.4', '1.35.4', '1.36.3', '1.37.2'] as const;

/** Feature gates that change what a kubelet asks of the runtime. A kubelet of another version lacks some of them. */
export const RUNTIME_GATES: readonly string[] = [
  'CRIListStreaming',
  'ContainerStopSignals',
  'EventedPLEG',
  'ImageVolume',
  'ImageVolumeWithDigest',
  // RestartAllContainersOnContainerExits needs it in kubelet 1.35.
  'NodeDeclaredFeatures',
  'PLEGOnDemandRelist',
  'PodAndContainerStatsFromCRI',
  'PodLogsQuerySplitStreams',
  'RestartAllContainersOnContainerExits',
  'RuntimeClassInImageCriApi',
  'UserNamespacesHostNetworkSupport',
  'VolumeBindMountOptions',
];

const RUN = 'test/run.js';
const SUITES: readonly (Omit<Cell, 'name' | 'versions' | 'gates'> & { of: 'containerd' | 'kubelet'; gated?: true })[] =
  [
    { of: 'containerd', suite: 'critest', command: ['test/conformance/main.js', 'crid', 'reference'] },
    { of: 'containerd', suite: 'integration', command: [RUN, 'integration'] },
    { of: 'containerd', suite: 'move', command: [RUN, 'kubelet', 'kubelet/move'] },
    { of: 'kubelet', suite: 'pods', command: [RUN, 'kubelet', 'kubelet/pods.test', 'kubelet/restart'] },
    { of: 'kubelet', suite: 'events', command: [RUN, 'kubelet', 'kubelet/events'] },
    { of: 'kubelet', suite: 'gates', command: [RUN, 'kubelet', 'kubelet/events'], gated: true },
  ];

/** Returns all cells: suite by suite, each on every version of its part. */
export function allCells(): Cell[] {
  return SUITES.flatMap(({ of, suite, command, gated }) =>
    (of === 'containerd' ? CONTAINERDS : KUBELETS).map((version) => ({
      name: `${suite} ${of}-${version}`,
      suite,
      versions: { [of]: version },
      gates: gated ? RUNTIME_GATES : [],
      command,
    })),
  );
}

/** Returns the cells whose names contain every part of one of the words: `critest` or `critest+2.3`. */
export function selectCells(cells: readonly Cell[], words: readonly string[]): Cell[] {
  const matches = (name: string, word: string): boolean => word.split('+').every((part) => name.includes(part));
  const unused = words.find((word) => !cells.some(({ name }) => matches(name, word)));
  if (unused !== undefined) throw new Error(`${unused} is in none of: ${cells.map(({ name }) => name).join(', ')}`);
  return cells.filter(({ name }) => words.length === 0 || words.some((word) => matches(name, word)));
}

/** Returns those of the gates that are alpha in a kubelet, out of the text of `kubelet --help`. */
export function alphaGates(help: string, gates: readonly string[]): string[] {
  return gates.filter((gate) => new RegExp(`\\b${gate}=true\\|false \\(ALPHA\\b`).test(help));
}
