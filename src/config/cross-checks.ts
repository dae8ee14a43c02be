import type { Problem } from './check.js';
import type { Config } from './options.js';

/** Checks that involve several options. Runs on a complete Config. */
export function crossCheck(config: Config): Problem[] {
  return [...runtimeProblems(config), ...streamingProblems(config), ...registryProblems(config)];
}

function runtimeProblems({ runtime: { containerd } }: Config): Problem[] {
  const at = ['runtime', 'containerd'];
  const problems: Problem[] = [];
  const { default_runtime_name: name, runtimes } = containerd;
  if (!Object.hasOwn(runtimes, name)) {
    const known = Object.keys(runtimes).map((runtime) => JSON.stringify(runtime));
    const text = `expected one of the runtimes (${known.join(', ')}), received ${JSON.stringify(name)}`;
    problems.push({ path: [...at, 'default_runtime_name'], text });
  }
  for (const [handler, options] of Object.entries(runtimes)) {
    const here = [...at, 'runtimes', handler];
    if (options.runtime_type === '') {
      problems.push({ path: [...here, 'runtime_type'], text: 'expected text that is not empty, received none' });
    }
    if (options.sandboxer === 'pinned' && options.runtime_type !== 'io.containerd.runc.v2') {
      const text = '"pinned" needs the shim of runc (io.containerd.runc.v2), others make the sandbox themselves';
      problems.push({ path: [...here, 'sandboxer'], text });
    }
    const allDevices = 'privileged_without_host_devices_all_devices_allowed';
    if (options[allDevices] && !options.privileged_without_host_devices) {
      problems.push({ path: [...here, allDevices], text: 'needs privileged_without_host_devices = true' });
    }
  }
  return problems;
}

function streamingProblems({ streaming }: Config): Problem[] {
  const { tls_cert_file: cert, tls_key_file: key } = streaming.x509_key_pair_streaming;
  const at = ['streaming', 'x509_key_pair_streaming'];
  if (cert !== '' && key === '') return [{ path: [...at, 'tls_cert_file'], text: 'needs tls_key_file too' }];
  if (cert === '' && key !== '') return [{ path: [...at, 'tls_key_file'], text: 'needs tls_cert_file too' }];
  if (cert === '' || streaming.enable_tls_streaming) return [];
  return [{ path: [...at, 'tls_cert_file'], text: 'needs streaming.enable_tls_streaming = true' }];
}

function registryProblems({ images: { registry } }: Config): Problem[] {
  const at = ['images', 'registry', 'mirrors'];
  const mirrors = Object.entries(registry.mirrors);
  const text = 'cannot be set together with config_path: move the mirrors to hosts.toml files';
  if (registry.config_path !== '' && mirrors.length > 0) return [{ path: at, text }];
  return mirrors.flatMap(([name, { endpoint }]) =>
    name.includes('/') || name === '.' || name === '..'
      ? [{ path: [...at, name], text: 'expected the host of a registry, with its port, or *' }]
      : endpoint.flatMap((url, index) =>
          isEndpoint(url) ? [] : [{ path: [...at, name, 'endpoint', index], text: NO_URL }],
        ),
  );
}

const NO_URL = 'expected a URL of a registry: http://HOST or https://HOST, with its port and path if it has any';

const isEndpoint = (text: string): boolean => {
  const url = text.includes('://') ? text : `https://${text}`;
  return URL.canParse(url) && /^https?:$/.test(new URL(url).protocol);
};
