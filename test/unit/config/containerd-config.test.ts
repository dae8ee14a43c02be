import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultConfig, defaultRuntimeHandler } from '../../../src/config/defaults.js';
import { defaultTransferSettings } from '../../../src/config/transfer-settings.js';
import { loadConfig } from '../../../src/config/load.js';
import { folderOf, refusal } from './files.js';

const VERSION_2 = `
version = 2
root = "/data/containerd"
[grpc]
  address = "/run/two.sock"
[plugins."io.containerd.service.v1.tasks-service"]
  blockio_config_file = "/etc/blockio.yaml"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.example/pause:1"
  enable_selinux = true
  max_concurrent_downloads = 5
  stats_collect_period = 30
  image_pull_progress_timeout = "1m"
  disable_tcp_service = true
  stream_server_port = "10010"
  systemd_cgroup = false
  [plugins."io.containerd.grpc.v1.cri".x509_key_pair_streaming]
    tls_cert_file = ""
    tls_key_file = ""
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/libexec/cni"
    conf_dir = "/etc/cni/two"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/certs.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
    discard_unpacked_layers = true
    default_runtime_name = "kata"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = true
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.kata]
      runtime_type = "io.containerd.kata.v2"
      sandbox_mode = "shim"
`;

const VERSION_3 = `
version = 3
root = '/data/containerd'
state = ''
[plugins]
  [plugins.'io.containerd.gc.v1.scheduler']
    pause_threshold = 0.02
  [plugins.'io.containerd.service.v1.tasks-service']
    blockio_config_file = '/etc/blockio.yaml'
  [plugins.'io.containerd.cri.v1.images']
    snapshotter = 'native'
    discard_unpacked_layers = true
    max_concurrent_downloads = 5
    image_pull_progress_timeout = '1m'
    stats_collect_period = 30
    pinned_images = { sandbox = 'registry.example/pause:1' }
    [plugins.'io.containerd.cri.v1.images'.registry]
      config_path = '/etc/certs.d'
  [plugins.'io.containerd.cri.v1.runtime']
    enable_selinux = true
    [plugins.'io.containerd.cri.v1.runtime'.cni]
      bin_dir = ''
      bin_dirs = ['/usr/libexec/cni']
      conf_dir = '/etc/cni/two'
    [plugins.'io.containerd.cri.v1.runtime'.containerd]
      default_runtime_name = 'kata'
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
        sandboxer = 'podsandbox'
        options = { SystemdCgroup = true }
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.kata]
        runtime_type = 'io.containerd.kata.v2'
        sandboxer = 'shim'
  [plugins.'io.containerd.grpc.v1.cri']
    disable_tcp_service = true
    stream_server_port = '10010'
    stream_idle_timeout = ''
`;

function expected(address: string) {
  const config = defaultConfig();
  config.root = '/data/containerd';
  config.grpc.address = address;
  config.runtime.enable_selinux = true;
  config.runtime.blockio_config_file = '/etc/blockio.yaml';
  config.runtime.cni.bin_dirs = ['/usr/libexec/cni'];
  config.runtime.cni.conf_dir = '/etc/cni/two';
  config.runtime.containerd.default_runtime_name = 'kata';
  config.runtime.containerd.runtimes = {
    runc: { ...defaultRuntimeHandler(), runtime_type: 'io.containerd.runc.v2', options: { SystemdCgroup: true } },
    kata: { ...defaultRuntimeHandler(), runtime_type: 'io.containerd.kata.v2', sandboxer: 'shim' },
  };
  Object.assign(config.images, {
    snapshotter: 'native',
    discard_unpacked_layers: true,
    max_concurrent_downloads: 5,
    image_pull_progress_timeout: '1m',
    stats_collect_period: 30,
    pinned_images: { sandbox: 'registry.example/pause:1' },
  });
  config.images.registry.config_path = '/etc/certs.d';
  config.streaming.stream_server_port = '10010';
  return config;
}

const CASES = [
  { version: 2, text: VERSION_2, address: '/run/two.sock', deprecated: true },
  { version: 3, text: `${VERSION_3}\n[grpc]\naddress = "/run/three.sock"\n`, address: '/run/three.sock' },
  {
    version: 4,
    text: `${VERSION_3.replace('version = 3', 'version = 4')}
  [plugins.'io.containerd.server.v1.grpc']
    address = '/run/four.sock'`,
    address: '/run/four.sock',
  },
];

for (const { version, text, address, deprecated } of CASES) {
  test(`version ${version} of containerd's file gives the same Config`, async (t) => {
    const folder = await folderOf(t, { 'config.toml': text });
    const { config, warnings } = await loadConfig({ containerdConfig: `${folder}/config.toml`, config: '' });
    const binDir = `${folder}/config.toml: plugins."io.containerd.grpc.v1.cri".cni.bin_dir: deprecated, use bin_dirs`;
    assert.deepEqual({ config, warnings }, { config: expected(address), warnings: deprecated ? [binDir] : [] });
  });
}

test('without any file the defaults apply', async () => {
  const { origins, ...loaded } = await loadConfig({ containerdConfig: '', config: '' });
  assert.deepEqual(loaded, {
    config: defaultConfig(),
    warnings: [],
    criPluginDisabled: false,
    criPluginRequired: false,
    transfer: defaultTransferSettings(),
  });
  assert.deepEqual(new Set(origins.values()), new Set(['default']));
});

test('an option that containerd ignores is a warning', async (t) => {
  const folder = await folderOf(t, {
    'config.toml': `
version = 4
[grpc]
address = "/run/ignored.sock"
[plugins."io.containerd.cri.v1.runtime"]
enable_selinx = true
enable_cdi = false
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
novelty = { a = 1 }
[plugins."io.containerd.cri.v1.images".registry.configs."a.example".tls]
ca_file = "/x"
[plugins."io.containerd.cri.v1.images".registry.mirrors."a.example"]
endpoint = ["https://b.example"]
[plugins."io.containerd.grpc.v1.cri"]
disable_tcp_service = false
sandbox_image = "x"
`,
  });
  const { config, warnings } = await loadConfig({ containerdConfig: `${folder}/config.toml`, config: '' });
  const want = defaultConfig();
  want.runtime.enable_cdi = false;
  Object.assign(want.images.registry, {
    config_path: '',
    mirrors: { 'a.example': { endpoint: ['https://b.example'] } },
    configs: { 'a.example': { auth: { username: '', password: '', auth: '', identitytoken: '' } } },
  });
  assert.deepEqual(config, want);
  assert.deepEqual(
    warnings.map((line) => line.replace(`${folder}/config.toml: `, '')),
    [
      'grpc.address: version 4 reads it from plugins."io.containerd.server.v1.grpc"',
      'plugins."io.containerd.grpc.v1.cri".disable_tcp_service: crid serves CRI on a unix socket only',
      'plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.novelty: unknown option, ignored',
      'plugins."io.containerd.cri.v1.runtime".enable_selinx: unknown option, ignored',
      'plugins."io.containerd.cri.v1.images".registry.configs."a.example".tls: unknown option, ignored',
      'plugins."io.containerd.grpc.v1.cri".sandbox_image: unknown option, ignored',
      'plugins."io.containerd.cri.v1.images".registry.mirrors: deprecated, use hosts.toml files in config_path',
      'plugins."io.containerd.cri.v1.images".registry.configs: deprecated, use image pull secrets',
      'plugins."io.containerd.cri.v1.runtime".enable_cdi: deprecated, a later containerd always enables CDI',
    ],
  );
});

test("version 2's options in a file of version 3 apply below version 3's own", async (t) => {
  const folder = await folderOf(t, {
    'config.toml': `
version = 3
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "old"
enable_selinux = true
disable_apparmor = true
[plugins."io.containerd.cri.v1.runtime"]
enable_selinux = false
`,
  });
  const { config, warnings } = await loadConfig({ containerdConfig: `${folder}/config.toml`, config: '' });
  const note = 'an option of version 2, which containerd ignores in this version before 2.3';
  assert.deepEqual(
    [config.images.pinned_images, config.runtime.enable_selinux, config.runtime.disable_apparmor, warnings],
    [
      { sandbox: 'old' },
      false,
      true,
      [
        `${folder}/config.toml: plugins."io.containerd.grpc.v1.cri".sandbox_image: ${note}`,
        `${folder}/config.toml: plugins."io.containerd.grpc.v1.cri": ${note}`,
      ],
    ],
  );
});

test("a wrong value is named as containerd's file names it", async (t) => {
  const cri2 = 'plugins."io.containerd.grpc.v1.cri"';
  const cri3 = 'plugins."io.containerd.cri.v1.runtime"';
  const folder = await folderOf(t, {
    'two.toml': `version = 2
[${cri2}]
stats_collect_period = "1s"
sandbox_image = 5
enable_selinux = 1
[${cri2}.cni]
bin_dir = "cni"
[${cri2}.containerd.runtimes.kata]
sandbox_mode = true
`,
    'three.toml': `version = 3
[${cri3}.containerd]
default_runtime_name = "crun"
[${cri3}.containerd.runtimes.kata]
privileged_without_host_devices_all_devices_allowed = true
`,
  });
  const of = (file: string) => refusal(folder, loadConfig({ containerdConfig: `${folder}/${file}`, config: '' }));
  assert.deepEqual(await of('two.toml'), {
    code: 'INVALID_ARGUMENT',
    lines: [
      `two.toml: ${cri2}.containerd.runtimes.kata.sandbox_mode: expected text in quotes, received true`,
      `two.toml: ${cri2}.cni.bin_dir: expected an absolute path, received "cni"`,
      `two.toml: ${cri2}.enable_selinux: expected true or false, received 1`,
      `two.toml: ${cri2}.sandbox_image: expected text in quotes, received 5`,
      `two.toml: ${cri2}.stats_collect_period: expected a whole number, received "1s"`,
    ],
  });
  const kata = `three.toml: ${cri3}.containerd.runtimes.kata`;
  assert.deepEqual(await of('three.toml'), {
    code: 'INVALID_ARGUMENT',
    lines: [
      `three.toml: ${cri3}.containerd.default_runtime_name: expected one of the runtimes ("runc", "kata"), received "crun"`,
      `${kata}.runtime_type: expected text that is not empty, received none`,
      `${kata}.privileged_without_host_devices_all_devices_allowed: needs privileged_without_host_devices = true`,
    ],
  });
});

test('versions that cannot be read are refused', async (t) => {
  const folder = await folderOf(t, {
    'none.toml': '[plugins.cri]\n',
    'one.toml': 'version = 1\n[plugins.cri]\n',
    'five.toml': 'version = 5\n',
    'text.toml': 'version = "3"\n',
    'syntax.toml': 'version = 3\nroot = \n',
  });
  const of = async (file: string) =>
    (await refusal(folder, loadConfig({ containerdConfig: `${folder}/${file}`, config: '' }))) as { lines: string[] };
  const migrate = 'run "containerd config migrate" to bring the file up to date';
  assert.deepEqual(
    await Promise.all(['none', 'one', 'five', 'text', 'missing'].map(async (name) => (await of(`${name}.toml`)).lines)),
    [
      [`none.toml: version: expected 2 to 4, received nothing; ${migrate}`],
      [`one.toml: version: expected 2 to 4, received 1; ${migrate}`],
      ['five.toml: version: expected 2 to 4, received 5'],
      ['text.toml: version: expected a whole number, received "3"'],
      ['missing.toml: no such file'],
    ],
  );
  assert.match((await of('syntax.toml')).lines[0] ?? '', /^syntax\.toml: line 2, column \d+: \S/);
});

test('a containerd that disables its NRI plugin disables NRI, unless the own file of crid enables it', async (t) => {
  const folder = await folderOf(t, {
    'config.toml': 'version = 3\nimports = ["off.toml"]\n',
    'off.toml': 'version = 3\ndisabled_plugins = ["io.containerd.nri.v1.nri"]\n',
    'crid.toml': '[nri]\ndisable = false\n',
  });
  const isDisabled = async (config: string): Promise<boolean> =>
    (await loadConfig({ containerdConfig: `${folder}/config.toml`, config })).config.nri.disable;
  assert.deepEqual([await isDisabled(''), await isDisabled(`${folder}/crid.toml`)], [true, false]);
});

test('a file without a version and without plugins is accepted, and may disable CRI', async (t) => {
  const folder = await folderOf(t, {
    'docker.toml': 'root = "/mnt/containerd"\ndisabled_plugins = ["cri"]\n',
    'images-off.toml': 'version = 3\ndisabled_plugins = ["io.containerd.cri.v1.images"]\n',
    'required.toml':
      'version = 2\nrequired_plugins = ["io.containerd.grpc.v1.cri"]\ndisabled_plugins = ["io.containerd.x.v1.y"]',
    'import.toml': 'version = 2\nimports = ["docker.toml"]\n',
  });
  const of = async (file: string) => {
    const loaded = await loadConfig({ containerdConfig: `${folder}/${file}`, config: '' });
    return [loaded.config.root, loaded.criPluginDisabled, loaded.criPluginRequired];
  };
  assert.deepEqual(await Promise.all(['docker.toml', 'images-off.toml', 'required.toml', 'import.toml'].map(of)), [
    ['/mnt/containerd', true, false],
    ['/var/lib/containerd', true, false],
    ['/var/lib/containerd', false, true],
    ['/mnt/containerd', true, false],
  ]);
});
