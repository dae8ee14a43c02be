import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '../../../src/config/load.js';
import { folderOf, refusal } from './files.js';

const own = (folder: string) => loadConfig({ containerdConfig: '', config: `${folder}/own.toml` });

test("crid's file overrides containerd's key by key, the command line overrides both", async (t) => {
  const folder = await folderOf(t, {
    'containerd.toml': `
version = 3
root = "/one"
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dir = "/one/bin"
conf_dir = "/one/net.d"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.kata]
runtime_type = "io.containerd.kata.v2"
snapshotter = "one"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "one"
debug = "one"
`,
    'own.toml': `
[runtime.cni]
conf_dir = "/two/net.d"
[runtime.containerd.runtimes.kata]
snapshotter = "two"
sandboxer = "podsandbox"
[images.pinned_images]
debug = "two"
[grpc]
address = "unix:///two.sock"
[crid]
listen = "/two/crid.sock"
log_level = "debug"
`,
  });
  const { config, origins, warnings } = await loadConfig({
    containerdConfig: `${folder}/containerd.toml`,
    config: `${folder}/own.toml`,
    listen: 'unix:///three.sock',
    overrides: { crid: { log_level: 'trace' } },
  });
  const { runtime, images, crid } = config;
  const kata = runtime.containerd.runtimes['kata'];
  assert.deepEqual(
    {
      cni: [runtime.cni.bin_dirs, runtime.cni.conf_dir],
      kata: [kata?.runtime_type, kata?.snapshotter, kata?.sandboxer],
      pinned: images.pinned_images,
      addresses: [config.grpc.address, crid.listen, crid.log_level],
      origins: [
        'root',
        'runtime.cni.bin_dirs',
        'images.pinned_images.debug',
        'crid.listen',
        'crid.log_level',
        'state',
      ].map((key) => origins.get(key)?.replace(`${folder}/`, '')),
      warnings: warnings.map((line) => line.replace(`${folder}/`, '')),
    },
    {
      cni: [['/one/bin'], '/two/net.d'],
      kata: ['io.containerd.kata.v2', 'two', 'podsandbox'],
      pinned: { sandbox: 'one', debug: 'two' },
      addresses: ['/two.sock', '/three.sock', 'trace'],
      origins: ['containerd.toml', 'containerd.toml', 'own.toml', 'command line', 'command line', 'default'],
      warnings: ['containerd.toml: plugins."io.containerd.cri.v1.runtime".cni.bin_dir: deprecated, use bin_dirs'],
    },
  );
});

test('all wrong values of a file are reported together, each with its path, the expected and the received value', async (t) => {
  const folder = await folderOf(t, {
    'own.toml': `
root = "relative"
[grpc]
address = "localhost:5000"
[runtime]
cdi_spec_dirs = ["/a", "b"]
selinux_category_range = -1
drain_exec_sync_io_timeout = "-1s"
enable_cdi = "yes"
[runtime.cni]
max_conf_num = "many"
ip_pref = "ipv5"
bin_dirs = "/opt/cni/bin"
[runtime.containerd.runtimes]
kata = 1979-05-27
[runtime.containerd.runtimes.runc]
cni_max_conf_num = 1.5
base_runtime_spec = "spec.json"
options = 5
[images]
snapshotter = ""
[images.registry]
config_path = "/a:b"
[images.registry.auths."https://a.example"]
password = 12345
[streaming]
stream_server_port = "65536"
stream_idle_timeout = "4 hours"
[crid]
namespace = "a/b"
listen = ""
log_level = "loud"
`,
  });
  const lines = [
    'root: expected an absolute path, received "relative"',
    'grpc.address: expected the absolute path of a unix socket, received "localhost:5000"',
    'runtime.containerd.runtimes.kata: expected a table, received "1979-05-27"',
    'runtime.containerd.runtimes.runc.options: expected a table, received 5',
    'runtime.containerd.runtimes.runc.base_runtime_spec: expected an absolute path or "", received "spec.json"',
    'runtime.containerd.runtimes.runc.cni_max_conf_num: expected a whole number, received 1.5',
    'runtime.cni.bin_dirs: expected a list, received "/opt/cni/bin"',
    'runtime.cni.max_conf_num: expected a whole number, received "many"',
    'runtime.cni.ip_pref: expected one of "", "ipv4", "ipv6", "cni", received "ipv5"',
    'runtime.selinux_category_range: expected a whole number from 0 up, received -1',
    'runtime.enable_cdi: expected true or false, received "yes"',
    'runtime.cdi_spec_dirs[1]: expected an absolute path, received "b"',
    'runtime.drain_exec_sync_io_timeout: expected a duration such as "10s" or "1h30m", received "-1s"',
    'images.snapshotter: expected text that is not empty, received ""',
    'images.registry.config_path: expected absolute paths with ":" between them, or "", received "/a:b"',
    'images.registry.auths."https://a.example".password: expected text in quotes',
    'streaming.stream_server_port: expected a port in quotes, "0" to "65535", received "65536"',
    'streaming.stream_idle_timeout: expected a duration such as "10s" or "1h30m", received "4 hours"',
    'crid.listen: expected the absolute path of a unix socket, received ""',
    'crid.log_level: expected one of "trace", "debug", "info", "warn", "error", received "loud"',
    'crid.namespace: expected the name of a namespace, received "a/b"',
  ];
  assert.deepEqual(await refusal(folder, own(folder)), {
    code: 'INVALID_ARGUMENT',
    lines: lines.map((line) => `own.toml: ${line}`),
  });
});

test('an unknown key is refused with the nearest known name', async (t) => {
  const folder = await folderOf(t, {
    'own.toml': `
version = 3
[runtime]
enable_selinx = true
stream_server_port = "1"
maxContainerLogLineSize = 1
snapshoter = "x"
[runtime.containerd.runtimes.runc]
runtime_typ = "x"
ip_pref = ""
[runtimes]
[crid]
socket-gid = 0
`,
  });
  const lines = [
    'runtime.containerd.runtimes.runc.runtime_typ: unknown option, did you mean runtime.containerd.runtimes.runc.runtime_type?',
    'runtime.containerd.runtimes.runc.ip_pref: unknown option, did you mean runtime.cni.ip_pref?',
    'runtime.enable_selinx: unknown option, did you mean runtime.enable_selinux?',
    'runtime.stream_server_port: unknown option, did you mean streaming.stream_server_port?',
    'runtime.maxContainerLogLineSize: unknown option, did you mean runtime.max_container_log_line_size?',
    'runtime.snapshoter: unknown option',
    'crid.socket-gid: unknown option, did you mean crid.socket_gid?',
    'version: unknown option',
    'runtimes: unknown option, did you mean runtime?',
  ];
  assert.deepEqual(await refusal(folder, own(folder)), {
    code: 'INVALID_ARGUMENT',
    lines: lines.map((line) => `own.toml: ${line}`),
  });
});

test('a problem between several options is reported with the source that set them', async (t) => {
  const folder = await folderOf(t, {
    'own.toml': `
[runtime.containerd]
default_runtime_name = "__proto__"
[images.registry]
config_path = "/certs.d"
[images.registry.mirrors."a.example"]
endpoint = ["https://b.example"]
[streaming.x509_key_pair_streaming]
tls_cert_file = "/cert.pem"
tls_key_file = "/key.pem"
`,
    'half.toml': '[streaming]\nenable_tls_streaming = true\nx509_key_pair_streaming = { tls_key_file = "/key.pem" }',
  });
  const x509 = 'streaming.x509_key_pair_streaming';
  assert.deepEqual(await refusal(folder, own(folder)), {
    code: 'INVALID_ARGUMENT',
    lines: [
      'own.toml: runtime.containerd.default_runtime_name: expected one of the runtimes ("runc"), received "__proto__"',
      `own.toml: ${x509}.tls_cert_file: needs streaming.enable_tls_streaming = true`,
      'own.toml: images.registry.mirrors: cannot be set together with config_path: move the mirrors to hosts.toml files',
    ],
  });
  const overrides = { runtime: { containerd: { default_runtime_name: 'crun' } } };
  const half = loadConfig({ containerdConfig: '', config: `${folder}/half.toml`, overrides });
  assert.deepEqual(await refusal(folder, half), {
    code: 'INVALID_ARGUMENT',
    lines: [
      'command line: runtime.containerd.default_runtime_name: expected one of the runtimes ("runc"), received "crun"',
      `half.toml: ${x509}.tls_key_file: needs tls_cert_file too`,
    ],
  });
});

test('a named file must exist; problems of all sources are reported together', async (t) => {
  const folder = await folderOf(t, { 'containerd.toml': 'version = 3\nroot = "x"', 'own.toml/inner': '' });
  const loaded = loadConfig({
    containerdConfig: `${folder}/containerd.toml`,
    config: `${folder}/own.toml`,
    listen: 'x',
  });
  assert.deepEqual(await refusal(folder, loaded), {
    code: 'INVALID_ARGUMENT',
    lines: [
      'containerd.toml: root: expected an absolute path, received "x"',
      'own.toml: cannot be read: EISDIR',
      'command line: crid.listen: expected the absolute path of a unix socket, received "x"',
    ],
  });
  assert.deepEqual(await refusal(folder, loadConfig({ containerdConfig: '', config: `${folder}/gone.toml` })), {
    code: 'INVALID_ARGUMENT',
    lines: ['gone.toml: no such file'],
  });
});

test('credentials by URL are folded into those by host', async (t) => {
  const folder = await folderOf(t, {
    'own.toml': `
[images.registry.auths]
"https://a.example:5000/v2" = { username = "u" }
"b.example" = { auth = "dTpw" }
[images.registry.configs."a.example:5000".auth]
password = "p"
`,
  });
  const { config } = await own(folder);
  const none = { username: '', password: '', auth: '', identitytoken: '' };
  assert.deepEqual(config.images.registry, {
    config_path: '/etc/containerd/certs.d:/etc/docker/certs.d',
    headers: {},
    mirrors: {},
    auths: {},
    configs: {
      'a.example:5000': { auth: { ...none, username: 'u', password: 'p' } },
      'b.example': { auth: { ...none, auth: 'dTpw' } },
    },
  });
});

test("an empty duration is containerd's: its default, and no limit for a pull without progress", async (t) => {
  const folder = await folderOf(t, {
    'own.toml': `
[runtime]
stats_collect_period = ""
[images]
image_pull_progress_timeout = ""
[streaming]
stream_idle_timeout = ""
`,
  });
  const { runtime, images, streaming } = (await own(folder)).config;
  assert.deepEqual(
    [runtime.stats_collect_period, images.image_pull_progress_timeout, streaming.stream_idle_timeout],
    ['1s', '0s', '4h0m0s'],
  );
});

test('a mirror that is no host, and an endpoint that is no URL, are refused with their names', async (t) => {
  const folder = await folderOf(t, {
    'own.toml': `
[images.registry.mirrors]
"*" = { endpoint = ["https://m.example:5000/path", "m.example", "localhost:5000"] }
"../up" = { endpoint = [] }
"a.example" = { endpoint = ["https://m.example", "ftp://m.example", "https://"] }
`,
  });
  const url = 'expected a URL of a registry: http://HOST or https://HOST, with its port and path if it has any';
  assert.deepEqual(await refusal(folder, own(folder)), {
    code: 'INVALID_ARGUMENT',
    lines: [
      'own.toml: images.registry.mirrors."../up": expected the host of a registry, with its port, or *',
      `own.toml: images.registry.mirrors."a.example".endpoint[1]: ${url}`,
      `own.toml: images.registry.mirrors."a.example".endpoint[2]: ${url}`,
    ],
  });
});
