import { request, type RequestOptions } from 'node:https';
import type { IncomingMessage } from 'node:http';

/** The fields of a pod's status (Kubernetes' core/v1) that the tests read. */
export interface PodStatus {
  readonly phase?: string;
  readonly podIP?: string;
  readonly hostIP?: string;
  readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason?: string }[];
  readonly initContainerStatuses?: readonly ContainerStatus[];
  readonly containerStatuses?: readonly ContainerStatus[];
}

export interface ContainerStatus {
  readonly name: string;
  readonly ready: boolean;
  readonly started?: boolean;
  readonly restartCount: number;
  readonly image: string;
  readonly imageID: string;
  /** `containerd://ID` */
  readonly containerID?: string;
  readonly state?: State;
  readonly lastState?: State;
}

export interface State {
  readonly running?: { readonly startedAt: string };
  readonly waiting?: { readonly reason?: string; readonly message?: string };
  readonly terminated?: {
    readonly exitCode: number;
    readonly reason?: string;
    readonly message?: string;
    readonly startedAt: string;
    readonly finishedAt: string;
  };
}

export interface Pod {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly uid: string };
  readonly status: PodStatus;
}

const LIMIT_MS = 60_000;

/** Returns the pods that the kubelet knows, with their statuses. */
export async function kubeletPods(url: string): Promise<Pod[]> {
  const { items } = JSON.parse(await kubeletGet(url, '/pods')) as { items: Pod[] | null };
  return items ?? [];
}

/** Returns the body of a response. Throws an error with the kubelet's text if the status is not 200. */
export async function kubeletGet(url: string, path: string, method = 'GET'): Promise<string> {
  const response = await open(url, path, { method });
  const body = await textOf(response);
  if (response.statusCode !== 200) throw new Error(`${method} ${path}: ${response.statusCode} ${body}`);
  return body;
}

/** Opens a response that does not end, such as a followed log; `stop` disconnects. */
export async function kubeletFollow(url: string, path: string): Promise<{ text(): string; stop(): void }> {
  const response = await open(url, path, { method: 'GET' });
  let text = '';
  response.on('data', (chunk: Buffer) => (text += chunk.toString()));
  response.on('error', () => undefined);
  return { text: () => text, stop: () => void response.destroy() };
}

/** The kubelet's certificate is self-signed. */
function open(url: string, path: string, options: RequestOptions): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const call = request(`${url}${path}`, { ...options, rejectUnauthorized: false, timeout: LIMIT_MS }, resolve);
    call.once('timeout', () => call.destroy(new Error(`${path}: no answer within ${LIMIT_MS} ms`)));
    call.once('error', reject);
    call.end();
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
