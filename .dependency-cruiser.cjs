/**
 * The layers, the highest first. A module may import its own files, the modules of the layers below it, and those of
 * its own layer unless SEPARATE names them; never a module of a layer above. `src/app.ts` and `src/main.ts` are layer 1.
 * The table in CONTRIBUTING.md is this list.
 */
const LAYERS = [
  ['cri'],
  ['runtime', 'recovery', 'metrics', 'tracing', 'why', 'trace', 'doctor', 'migrate', 'client'],
  ['pods', 'containers', 'images', 'stats'],
  ['operation', 'sandboxer', 'spec', 'network', 'stdio', 'state', 'events', 'streaming', 'nri', 'nri-plugin'],
  ['containerd', 'host', 'config', 'ttrpc'],
  ['base'],
];
/** Modules of one layer that never import each other. */
const SEPARATE = [
  ['pods', 'containers', 'images', 'stats'],
  ['containerd', 'host', 'config', 'ttrpc'],
];

const modules = (names) => `^src/(${names.join('|')})/`;

const downward = LAYERS.slice(1).map((layer, index) => ({
  name: `no-import-up-from-${layer.join('-')}`,
  severity: 'error',
  comment: `${layer.join(', ')} may not import ${LAYERS.slice(0, index + 1)
    .flat()
    .join(', ')}`,
  from: { path: modules(layer) },
  to: { path: modules(LAYERS.slice(0, index + 1).flat()) },
}));

const sideways = SEPARATE.flatMap((group) =>
  group.map((name) => ({
    name: `no-import-sideways-from-${name}`,
    severity: 'error',
    comment: `${group.join(', ')} never import each other: what they share belongs to a layer below`,
    from: { path: modules([name]) },
    to: { path: modules(group.filter((other) => other !== name)) },
  })),
);

/** What only one module may import. */
const owned = [
  ['cri', '^src/cri/', '^src/(app|main)\\.ts$'],
  ['composition-root', '^src/app\\.ts$', '^src/command-line\\.ts$'],
  ['command-line', '^src/(main|command-line)\\.ts$', '^src/main\\.ts$'],
  ['containerd-wire', '(^|/)generated/containerd/', '^src/containerd/'],
  ['ttrpc-wire', '(^|/)generated/ttrpc/', '^src/ttrpc/'],
  ['system-calls', '(^|/)node_modules/koffi/', '^src/host/'],
].map(([name, what, owner]) => ({
  name: `only-its-owner-imports-${name}`,
  severity: 'error',
  from: { path: '^src/', pathNot: [owner, what] },
  to: { path: what },
}));

/**
 * Modules that run on two threads, with the entry of their worker. `worker/` and the entry run on the worker thread;
 * `shared/` runs on both; all other files, `server/` among them, run on the server's main thread.
 */
const WORKERS = [
  ['stdio', 'copy-worker'],
  ['streaming', 'stream-worker'],
];

const threads = WORKERS.flatMap(([name, entry]) => {
  const worker = `^src/${name}/(worker/|${entry}\\.ts$)`;
  const shared = `^src/${name}/shared/`;
  return [
    {
      name: `no-import-of-the-server-in-a-worker-of-${name}`,
      severity: 'error',
      comment: 'what both threads use belongs to shared/',
      from: { path: [worker, shared] },
      to: { path: `^src/${name}/`, pathNot: [worker, shared] },
    },
    {
      name: `no-import-of-a-worker-in-the-server-of-${name}`,
      severity: 'error',
      comment: 'the server starts the worker by its URL; what both threads use belongs to shared/',
      from: { path: '^src/', pathNot: worker },
      to: { path: worker },
    },
  ];
});

module.exports = {
  forbidden: [
    ...downward,
    ...sideways,
    ...threads,
    ...owned,
    {
      name: 'no-plugins-in-crid',
      severity: 'error',
      comment: 'src/nri-plugin/ is the library of processes that are plugins',
      from: { path: '^src/', pathNot: '^src/nri-plugin/' },
      to: { path: '^src/nri-plugin/' },
    },
    { name: 'no-cycles', severity: 'error', from: { path: '^src/' }, to: { circular: true } },
    {
      name: 'no-cycles-of-modules',
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
      comment: 'the bundle has what package.json names; tools of the build are no part of crid',
      from: { path: '^src/' },
      to: {
        dependencyTypes: ['npm-no-pkg', 'npm-unknown', 'npm-optional'],
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
