/**
 * The direction of the layers. Each room may import its own files, rooms further down, and rooms of the same line where
 * that line is no list of equals; never a room further up.
 */
const LAYERS = [
  ['cri'],
  ['runtime', 'recovery', 'metrics', 'tracing', 'why', 'doctor'],
  ['pods', 'containers', 'images', 'stats'],
  ['operation', 'sandboxer', 'spec', 'network', 'stdio', 'state', 'events', 'streaming'],
  ['containerd', 'host', 'config'],
  ['base'],
];
/** Rooms of one line that are strangers to each other. */
const STRANGERS = [
  ['pods', 'containers', 'images', 'stats'],
  ['containerd', 'host', 'config'],
];

const rooms = (names) => `^src/(${names.join('|')})/`;

const downward = LAYERS.slice(1).map((layer, index) => ({
  name: `no-import-up-from-${layer.join('-')}`,
  severity: 'error',
  comment: `${layer.join(', ')} may not know of ${LAYERS.slice(0, index + 1)
    .flat()
    .join(', ')}`,
  from: { path: rooms(layer) },
  to: { path: rooms(LAYERS.slice(0, index + 1).flat()) },
}));

const sideways = STRANGERS.flatMap((group) =>
  group.map((room) => ({
    name: `no-import-sideways-from-${room}`,
    severity: 'error',
    comment: `${group.join(', ')} never import each other: what they share lies further down`,
    from: { path: rooms([room]) },
    to: { path: rooms(group.filter((other) => other !== room)) },
  })),
);

/** What only one room may import. */
const owned = [
  ['cri', '^src/cri/', '^src/(app|main)\\.ts$'],
  ['composition-root', '^src/(app|main)\\.ts$', '^src/main\\.ts$'],
  ['containerd-wire', '(^|/)generated/containerd/', '^src/containerd/'],
  ['system-calls', '(^|/)node_modules/koffi/', '^src/host/'],
].map(([name, what, owner]) => ({
  name: `only-its-owner-imports-${name}`,
  severity: 'error',
  from: { path: '^src/', pathNot: [owner, what] },
  to: { path: what },
}));

module.exports = {
  forbidden: [
    ...downward,
    ...sideways,
    ...owned,
    { name: 'no-cycles', severity: 'error', from: { path: '^src/' }, to: { circular: true } },
    {
      name: 'no-cycles-of-rooms',
      severity: 'error',
      scope: 'folder',
      from: { path: '^src/[^/]+$' },
      to: { circular: true },
    },
    {
      name: 'no-tests-or-tools-in-src',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|tools)/' },
    },
    {
      name: 'only-dependencies-in-src',
      severity: 'error',
      comment: 'what crid imports when it runs is installed with it',
      from: { path: '^src/' },
      to: {
        dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'npm-optional'],
        dependencyTypesNot: ['type-only'],
      },
    },
    { name: 'not-to-unresolvable', severity: 'error', from: { path: '^src/' }, to: { couldNotResolve: true } },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: ['node_modules', '^generated/'] },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'types', 'default'] },
  },
};
