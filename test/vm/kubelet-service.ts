import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { stringify } from 'yaml';
import { ensureGoTool } from '../../tools/stack/gotools.js';
import { until } from '../../tools/stack/wait.js';
import { freePort } from '../../tools/stack/ports.js';
import { kubeletGet } from '../harness/kubelet-api.js';
import { KUBELET_FLAGS, kubeletConfiguration, type Kubelet } from '../harness/kubelet.js';
import type { TestStack } from '../harness/test-stack.js';
import { systemctl } from './unit.js';

/** The paths of a kubelet that kubeadm installs. */
export const KUBELET_CONFIG = '/var/lib/kubelet/config.yaml';
const KUBELET_UNIT = '/etc/systemd/system/kubelet.service';
const ROOT = '/var/lib/kubelet';
const FOLDER = '/etc/kubernetes';
const MANIFESTS = `${FOLDER}/manifests`;
const RESOLV_CONF = `${FOLDER}/resolv.conf`;
const LOG = '/var/log/kubelet.log';
const READY_LIMIT_MS = 600_000;

/** A kubelet without an API server that systemd runs as kubelet.service, with the pods of a folder of manifests. */
export type KubeletService = Pick<Kubelet, 'manifests' | 'root' | 'url' | 'log' | 'dispose'>;

/** `socket` is the CRI socket in its configuration. */
export async function startKubeletService(stack: TestStack, socket: string): Promise<KubeletService> {
  const program = await ensureGoTool(stack.layout, 'kubelet');
  await mkdir(MANIFESTS, { recursive: true });
  await mkdir(ROOT, { recursive: true });
  await writeFile(RESOLV_CONF, 'nameserver 127.0.0.1\n');
  await writeFile(LOG, '');
  const port = await freePort();
  const own = { port, resolvConf: RESOLV_CONF, staticPodPath: MANIFESTS };
  await writeFile(KUBELET_CONFIG, stringify({ ...kubeletConfiguration({ socket }), ...own }));
  const command = [program, '--config', KUBELET_CONFIG, '--root-dir', ROOT, ...KUBELET_FLAGS].join(' ');
  // Its pods outlive it, as with the unit of the Kubernetes packages: they are in cgroups of their own.
  const service = `ExecStart=${command}\nRestart=always\nRestartSec=10\nStandardOutput=append:${LOG}\nStandardError=append:${LOG}\n`;
  await writeFile(KUBELET_UNIT, `[Unit]\nStartLimitIntervalSec=0\n\n[Service]\n${service}`);
  await systemctl('daemon-reload');
  await systemctl('start', 'kubelet');
  const url = `https://127.0.0.1:${port}`;
  await until('the kubelet answers', READY_LIMIT_MS, () => kubeletGet(url, '/healthz'));
  return {
    manifests: MANIFESTS,
    root: ROOT,
    url,
    log: () => readFile(LOG, 'utf8'),
    async dispose() {
      await systemctl('stop', 'kubelet');
      for (const path of [KUBELET_UNIT, `${KUBELET_UNIT}.d`, FOLDER, ROOT])
        await rm(path, { recursive: true, force: true });
      await systemctl('daemon-reload');
    },
  };
}
