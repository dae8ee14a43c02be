import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '../../../src/config/load.js';
import { showConfig } from '../../../src/config/show.js';
import { folderOf } from './files.js';

const OWN = `
root = "/elsewhere"
[runtime.containerd.runtimes."a.b"]
runtime_type = "x"
pod_annotations = ["one", "two # not a comment"]
options = { BinaryName = "/b", Nested = { Deep = [1, 2] } }
[images.registry.headers]
"X-Meta-Token" = ["hush"]
[images.registry.configs."a.example".auth]
username = "hush"
password = "hush"
`;

test('the printed configuration has the source of each value, and no credentials', async (t) => {
  const folder = await folderOf(t, { 'own.toml': OWN });
  const own = `${folder}/own.toml`;
  const shown = showConfig(await loadConfig({ containerdConfig: '', config: own, listen: '/l.sock' })).split('\n');
  const after = (header: string, lines: number) => {
    const at = shown.findIndex((line) => line.startsWith(header));
    return shown.slice(at, at + lines).map((line) => line.replaceAll(own, 'OWN'));
  };
  assert.deepEqual(
    [
      shown.slice(0, 2).map((line) => line.replaceAll(own, 'OWN')),
      after('[runtime.containerd.runtimes."a.b"]', 4),
      after('[runtime.containerd.runtimes."a.b".options]', 5),
      after('[images.registry]', 15),
      after('[crid]', 7),
      shown.join('\n').includes('hush'),
    ],
    [
      ['root = "/elsewhere" # OWN', 'state = "/run/containerd" # default'],
      [
        '[runtime.containerd.runtimes."a.b"]',
        'runtime_type = "x" # OWN',
        'runtime_path = "" # default',
        'pod_annotations = [ "one", "two # not a comment" ] # OWN',
      ],
      [
        '[runtime.containerd.runtimes."a.b".options]',
        'BinaryName = "/b" # OWN',
        '',
        '[runtime.containerd.runtimes."a.b".options.Nested]',
        'Deep = [ 1, 2 ] # OWN',
      ],
      [
        '[images.registry]',
        'config_path = "/etc/containerd/certs.d:/etc/docker/certs.d" # default',
        '',
        '[images.registry.headers]',
        'X-Meta-Token = [ "[redacted]" ] # OWN',
        '',
        '[images.registry.mirrors] # default',
        '',
        '[images.registry.configs."a.example".auth]',
        'username = "[redacted]" # OWN',
        'password = "[redacted]" # OWN',
        'auth = "" # default',
        'identitytoken = "" # default',
        '',
        '[images.registry.auths] # default',
      ],
      [
        '[crid]',
        'listen = "/l.sock" # command line',
        'socket_gid = 0 # default',
        'log_level = "info" # default',
        'metrics_address = "" # default',
        'traced_calls = 200 # default',
        'namespace = "k8s.io" # default',
      ],
      false,
    ],
  );
});

test('the printed configuration is a valid file of crid with the same effect', async (t) => {
  const folder = await folderOf(t, { 'own.toml': OWN.replaceAll('hush', '[redacted]') });
  const { config, origins } = await loadConfig({ containerdConfig: '', config: `${folder}/own.toml` });
  const again = await folderOf(t, { 'own.toml': showConfig({ config, origins }) });
  assert.deepEqual((await loadConfig({ containerdConfig: '', config: `${again}/own.toml` })).config, config);
});
