import { randomUUID } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ContainerConfig, NamespaceMode, PodSandboxConfig } from '../../generated/runtime/v1/api.js';
import type { CriClient } from '../../test/harness/cri-client.js';
import { onDispose } from '../stack/disposers.js';
import type { Step } from '../stack/steps.js';
import { until } from '../stack/wait.js';
import type { Backend } from './backend.js';

const IMAGE = 'docker.io/library/busybox:latest';
const LOG_LIMIT_MS = 10_000;
const EXEC_LIMIT_S = 10n;
const SCRIPT = 'echo "hello from pod $HOSTNAME"; trap "exit 0" TERM; while :; do sleep 3600 & wait; done';

/**
 * Runs a pod with one container as a kubelet would, and shows its log and a command in it. Removes the pod when this
 * process ends.
 */
export async function firstPod(
  cri: CriClient,
  backend: Backend,
  step: Step,
  say: (line: string) => void,
): Promise<void> {
  const { runtime, images } = cri;
  const before = new Set((await images.listImages({})).images.map(({ id }) => id));
  onDispose('the images of the first pod', async () => {
    // Other clients may pull images meanwhile. Remove only this image and the pinned image of the pod sandbox.
    for (const { id, pinned, repo_tags: tags } of (await images.listImages({})).images) {
      const isOurs = !before.has(id) && (pinned || tags.includes(IMAGE));
      if (isOurs) await images.removeImage({ image: { image: id } });
    }
  });
  await step(`pull ${IMAGE}`, () => images.pullImage({ image: { image: IMAGE } }));
  const sandbox = await podConfig(backend);
  const { pod_sandbox_id: pod } = await step(`run the pod default/${NAME}`, () =>
    runtime.runPodSandbox({ config: sandbox }),
  );
  onDispose(`pod ${pod}`, async () => {
    await runtime.stopPodSandbox({ pod_sandbox_id: pod });
    await runtime.removePodSandbox({ pod_sandbox_id: pod });
  });
  const { status } = await runtime.podSandboxStatus({ pod_sandbox_id: pod });
  say(`    ${pod.slice(0, 13)}  ${status?.network?.ip || "the host's network"}`);
  const { container_id: container } = await step('create a container in it', () =>
    runtime.createContainer({ pod_sandbox_id: pod, config: containerConfig(), sandbox_config: sandbox }),
  );
  await step('start the container', () => runtime.startContainer({ container_id: container }));
  const log = join(sandbox.log_directory, `${NAME}.log`);
  say(`    ${await step('read its log', () => firstLine(log))}`);
  const cmd = ['uname', '-srn'];
  const answer = await step(`run ${cmd.join(' ')} in it`, () =>
    runtime.execSync({ container_id: container, cmd, timeout: EXEC_LIMIT_S }),
  );
  say(`    ${Buffer.from(answer.stdout).toString().trim()} (exit code ${answer.exit_code})`);
}

const NAME = 'hello';

async function podConfig({ dir, hostNetwork }: Backend): Promise<PodSandboxConfig> {
  const logs = join(dir, 'logs');
  await mkdir(logs, { recursive: true });
  return PodSandboxConfig.fromPartial({
    metadata: { name: NAME, namespace: 'default', uid: randomUUID(), attempt: 0 },
    hostname: hostNetwork ? '' : NAME,
    log_directory: logs,
    linux: {
      security_context: {
        namespace_options: {
          network: hostNetwork ? NamespaceMode.NODE : NamespaceMode.POD,
          pid: NamespaceMode.CONTAINER,
        },
      },
    },
  });
}

const containerConfig = (): ContainerConfig =>
  ContainerConfig.fromPartial({
    metadata: { name: NAME, attempt: 0 },
    image: { image: IMAGE },
    command: ['sh', '-c', SCRIPT],
    log_path: `${NAME}.log`,
    linux: { security_context: { namespace_options: { pid: NamespaceMode.CONTAINER } } },
  });

/** Returns the first line of the CRI log: time, stream, P or F, text. */
const firstLine = (file: string): Promise<string> =>
  until(`a line in ${file}`, LOG_LIMIT_MS, async () => {
    const text = await readFile(file, 'utf8').catch(() => '');
    return text.includes('\n') ? text.split('\n')[0] : undefined;
  });
