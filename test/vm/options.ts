import { parseArgs } from 'node:util';
import { architectureOf, type Architecture } from '../../tools/stack/architectures.js';
import type { ServerName } from '../conformance/options.js';
import type { SuiteOptions } from '../conformance/suite.js';

export interface TestOptions {
  /** The kinds of test/run.js. */
  readonly kinds: readonly string[];
  /** Words that select test files by path. The default is `WORDS`. */
  readonly words: readonly string[];
  /** The default runtime handler. */
  readonly runtime: string;
}

export interface ConformanceOptions extends Pick<SuiteOptions, 'focus' | 'skip'> {
  /** Tested one after the other. With both, crid must pass what the plugin passes. */
  readonly servers: readonly ServerName[];
  /** The runtime handlers. critest runs the whole selection on each. */
  readonly handlers: readonly string[];
  /** The lowest number of specs that must run on each handler; 1 by default. */
  readonly least?: number;
}

export interface Options {
  readonly architecture: Architecture;
  /** Tests the Debian package with its own Node.js, instead of the checkout and the npm package. */
  readonly packaged: boolean;
  readonly tests?: TestOptions;
  readonly conformance?: ConformanceOptions;
}

const USAGE = `usage: main.js test [--arch ARCH] [--runtime NAME] [WORD]...
       main.js kubelet [--arch ARCH] [--runtime NAME] [WORD]...
       main.js conformance [--arch ARCH] [--server crid|reference]... [--handler NAME]... [--focus REGEXP]... [--skip REGEXP]...
       main.js --ci`;

/**
 * Suites whose results depend on cgroup v2, systemd or AppArmor. Of integration/stats, the lists of 5,000 records are
 * left out because they do not depend on the node, and the checkpoints because the node has no CRIU.
 */
const WORDS = ['test/vm/', 'integration/spec/', 'stats/stats', 'rpc/container-status', 'rpc/container-life'];
/** All of test/vm/ but node-move.test, in which a kubelet runs for a quarter of an hour. */
const CI_FILES = ['apparmor', 'cgroup', 'memory', 'migrate', 'package.test', 'packaged', 'service'];
const CI_WORDS = CI_FILES.map((name) => `test/vm/${name}`);
const KINDS = ['vm', 'integration'];
/** Specs whose outcome depends on AppArmor, cgroups, their version included, or the security context. */
const CI_FOCUS = ['AppArmor', 'OOM', 'Security Context', 'metrics operations'];
/** The number in critest v1.37, which docs/conformance.md also states. */
const CI_SPECS = 51;

/** The part that runs on arm64: native calls, a pod's life, exec over both protocols, logs, kill -9. */
const ARM64_WORDS = [
  ...['unit/host/', 'integration/rpc/container-life', 'integration/streaming/exec.test'],
  ...['integration/logs/kill', 'integration/recovery/restart'],
];
const ARM64_KINDS = ['unit', 'integration'];
/** critest's specs of pods, containers, logs and streams, and of seccomp, whose tables are the processor's. */
const ARM64_FOCUS = [
  ...['basic operations on (container|PodSandbox) ', 'should support log', 'should support seccomp'],
  'streaming interfaces .*(exec|attach|portforward \\[)',
];
const ARM64_SPECS = 27;

const SERVERS: readonly ServerName[] = ['crid', 'reference'];
const isServer = (name: string): name is ServerName => SERVERS.some((server) => server === name);

export function parseOptions(args: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      ci: { type: 'boolean', default: false },
      arch: { type: 'string', default: 'amd64' },
      server: { type: 'string', multiple: true, default: [] },
      handler: { type: 'string', multiple: true, default: [] },
      runtime: { type: 'string', default: 'runc' },
      focus: { type: 'string', multiple: true, default: [] },
      skip: { type: 'string', multiple: true, default: [] },
    },
  });
  const [what, ...words] = positionals;
  const { focus, skip, runtime } = values;
  const architecture = architectureOf(values.arch);
  const node = { architecture, packaged: architecture !== 'amd64' };
  if (values.ci && what === undefined) {
    const conformance = { servers: ['crid'], handlers: ['runc'], focus: CI_FOCUS, skip } as const;
    const least = CI_SPECS;
    return {
      ...node,
      tests: { kinds: KINDS, words: CI_WORDS, runtime },
      conformance: { ...conformance, ...(skip.length === 0 && { least }) },
    };
  }
  if (what === 'test' && architecture === 'arm64') {
    if (words.length > 0) return { ...node, tests: { kinds: [...ARM64_KINDS, 'vm'], words, runtime } };
    const least = skip.length === 0 ? ARM64_SPECS : 1;
    const conformance = { servers: ['crid'], handlers: ['runc'], focus: ARM64_FOCUS, skip, least } as const;
    return { ...node, tests: { kinds: ARM64_KINDS, words: ARM64_WORDS, runtime }, conformance };
  }
  if (what === 'test') return { ...node, tests: { kinds: KINDS, words: words.length > 0 ? words : WORDS, runtime } };
  if (what === 'kubelet') return { ...node, tests: { kinds: ['kubelet'], words, runtime } };
  const servers = values.server.length > 0 ? values.server : SERVERS;
  if (what !== 'conformance' || words.length > 0 || !servers.every(isServer)) throw new Error(USAGE);
  const handlers = values.handler.length > 0 ? values.handler : ['runc', 'crun'];
  return { ...node, conformance: { servers, handlers, focus, skip } };
}
