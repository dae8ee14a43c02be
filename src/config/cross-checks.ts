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
  if (registry.config_path === '' || Object.keys(registry.mirrors).length === 0) return [];
  const text = 'cannot be set together with config_path: move the mirrors to hosts.toml files';
  return [{ path: ['images', 'registry', 'mirrors'], text }];
}
