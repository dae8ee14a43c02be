import type { Expected } from '../harness/kubelet-log.js';

const NO_API_SERVER = 'this kubelet has no API server';
const TEST_HOST = 'a test host is no node: its process may lack rights, and its cgroups are not left to the kubelet';

/** Failures of an exec in a container that ends: they differ by how far runc has come when the init goes. */
const EXEC_WHILE_ENDING = [
  'is exited, not running',
  'init process is not running',
  'cannot exec in a (stopped|deleted) (state|container)',
  '(read|write) init-p: (broken pipe|connection reset by peer)',
  'error executing setns process',
  'procReady not received',
  'namespace path: lstat /proc/\\d+/ns/\\w+: no such file or directory',
];

/** Errors that a kubelet logs in every run regardless of the runtime, with the reason. */
export const alwaysExpected: readonly Expected[] = [
  { pattern: /^"failed to check if node is newer; using informer node"/, reason: NO_API_SERVER },
  { pattern: /^"Failed to set rlimit on max file handles"/, reason: TEST_HOST },
  { pattern: /^"Failed to ensure process in container with oom score"/, reason: TEST_HOST },
  {
    pattern: /^"Failed to read data from checkpoint" err="checkpoint is not found"/,
    reason: 'this is its first start',
  },
  { pattern: /err="no imagefs label for configured runtime"/, reason: 'cadvisor knows such a label of CRI-O alone' },
  {
    pattern:
      /^"Skipping pod synchronization" err="(\[?container runtime status check may not have completed yet|PLEG is not healthy: pleg has yet to be successful)/,
    reason: 'at its start it has not asked the runtime yet',
  },
  {
    pattern: /code = Canceled desc = context canceled/,
    reason: 'the kubelet itself gives a call up, when the pod that it is for is to end',
  },
  {
    pattern:
      /^"(ReopenContainerLog from runtime service|Container log doesn't exist, reopen container log) failed" .* is exited/,
    reason:
      'the kubelet lists the containers that run, then looks at their logs one by one; this one has ended meanwhile',
  },
  {
    pattern: /(ContainerStatus|get container status).* code = NotFound/,
    reason: 'two parts of the kubelet remove dead containers, and do not know of each other',
  },
  {
    pattern:
      /^"Partial failure issuing cadvisor\.ContainerInfoV2" err="partial failures: .*unable to find data in memory cache/,
    reason: 'cadvisor has not looked yet at a container that has just begun, or not lately at one that ends',
  },
  {
    pattern: /^"PodSandbox from runtime service failed" .* code = InvalidArgument .* podSandboxID=""$/,
    reason: 'a kubelet 1.37 asks for the statistics of no pod, to learn whether the runtime has that call',
  },
  {
    pattern: new RegExp(
      `^"(ExecSync cmd from runtime service failed|Probe errored|Event occurred)" .*(${EXEC_WHILE_ENDING.join('|')})`,
    ),
    reason: 'a kubelet 1.37 also probes the containers that it is stopping, until they have ended',
  },
  {
    pattern: /^"(Probe failed|Event occurred)" .*error reading from server: .*connection reset by peer"$/,
    reason: 'a gRPC probe was under way when the kubelet stopped the server',
  },
  {
    pattern: /^Failed to (process watch event|create existing container:) .*\b(task|container) .*not found$/,
    reason: 'cadvisor looks at the container of a cgroup, which may have ended already',
  },
  {
    pattern: /^exiting analyzeLines\. OOM events will not be reported\.$/,
    reason: 'a kubelet that stops closes its reader of the kernel log',
  },
  {
    pattern: /^"Failed to remove container log dead symlink" .*: no such file or directory/,
    reason: 'two parts of the kubelet remove the links to logs that are gone',
  },
  { pattern: /^"Housekeeping took longer than expected"/, reason: 'a busy host' },
  {
    pattern: /^"Error on socket receive"|^"Error proxying data from client to backend"/,
    reason: 'clients of streams hang up without a word in some tests',
  },
  {
    pattern: /^"Missing actuated pod level resource record"/,
    reason: 'the kubelet keeps none before a container of the pod has started',
  },
  {
    pattern: /^"Error syncing pod, skipping" err="failed to \\"StartContainer\\" for \\"\S+\\" with CrashLoopBackOff:/,
    reason: 'a container that ends again and again; where none should, the test of its pod says so',
  },
];
