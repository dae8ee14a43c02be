import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../../../tools/stack/project.js';
import { CONFIG, makeNode, SOCKETS, type Files, type MadeNode } from './made-node.js';

const CRID = `unix://${SOCKETS.crid}`;
const CONTAINERD = `unix://${SOCKETS.containerd}`;
const KUBELET = '/var/lib/kubelet/config.yaml';
const FLAGS = '/var/lib/kubelet/kubeadm-flags.env';
const INSTANCE = '/var/lib/kubelet/instance-config.yaml';
const DROP_IN = '/etc/systemd/system/kubelet.service.d/10-crid.conf';
const CRICTL = '/etc/crictl.yaml';

const kubeletConfig = (endpoint: string): string =>
  `apiVersion: kubelet.config.k8s.io/v1beta1\ncontainerRuntimeEndpoint: ${endpoint} # ours\nkind: KubeletConfiguration\n`;

/** Nodes before their move, by what is special about them. */
const NODES: Readonly<Record<string, Files>> = {
  'of kubeadm from v1.36 on': {
    [CONFIG]:
      '# ours\nversion = 3\n\n[plugins."io.containerd.cri.v1.runtime"] # keep\nmax_container_log_line_size = 1\n',
    [KUBELET]: kubeletConfig(CONTAINERD),
    [INSTANCE]: `kind: KubeletConfiguration\ncontainerRuntimeEndpoint: "${CONTAINERD}"\n`,
    '/usr/lib/systemd/system/kubelet.service': '[Service]\nExecStart=/usr/bin/kubelet\n',
    '/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf': `[Service]\nEnvironment="A=--config=${KUBELET}"\n`,
    [CRICTL]: `runtime-endpoint: ${CONTAINERD}\nimage-endpoint: ${CONTAINERD}\ntimeout: 60\n`,
  },
  'of kubeadm before v1.36': {
    [CONFIG]: 'version = 2\ndisabled_plugins = [\n  "io.containerd.internal.v1.opt", # not used\n]\n[debug]\n',
    [KUBELET]: kubeletConfig('""'),
    [FLAGS]: 'KUBELET_KUBEADM_ARGS="--container-runtime-endpoint=unix:///var/run/containerd/containerd.sock --pod=x"\n',
  },
  'with a flag in a drop-in of its own': {
    [CONFIG]: 'version = 4\r\n[debug]\r\n',
    '/etc/systemd/system/kubelet.service.d/20-flags.conf': `[Service]\nEnvironment=F=--container-runtime-endpoint=${CONTAINERD}\n`,
  },
  'without any configuration of containerd or an endpoint': { [KUBELET]: 'kind: KubeletConfiguration' },
};

/** Asserts that nothing of the node names containerd's socket any more, and that crid serves. */
function assertMoved(node: MadeNode): void {
  assert.deepEqual(node.state(), {
    pluginOn: false,
    pipes: 2,
    kubelet: { loaded: true, active: true, enabled: true, reload: false },
    crid: { loaded: true, active: true, enabled: true, reload: false },
  });
  const text = Object.values(node.files()).join('\n');
  assert.match(text, /disabled_plugins = \[[^\]]*"io.containerd.grpc.v1.cri"/);
  assert.ok(text.includes(CRID));
  assert.ok(!text.includes('containerd.sock'), text);
}

for (const [what, files] of Object.entries(NODES)) {
  test(`a node ${what} moves to crid, and back to the same bytes and modes`, async () => {
    const node = makeNode(files);
    const [state, modes] = [node.state(), node.modes()];
    const there = await node.migrate('to-crid', true);
    assert.equal(there.error, undefined);
    assertMoved(node);
    assert.equal(node.files()[DROP_IN], readFileSync(join(projectRoot, 'packaging/kubelet-crid.conf'), 'utf8'));
    assert.deepEqual(await node.migrate('to-crid', true).then(({ error }) => error), undefined);
    const { error } = await node.migrate('back', true);
    assert.equal(error, undefined);
    assert.deepEqual([node.files(), node.state(), node.modes()], [files, state, modes]);
  });
}

test('the changes come in the order of docs/kubelet.md', async () => {
  const node = makeNode({ [CONFIG]: 'version = 3\n', [KUBELET]: kubeletConfig(CONTAINERD) });
  await node.migrate('to-crid', true);
  await node.migrate('back', true);
  assert.deepEqual(node.changes, [
    'systemctl stop kubelet',
    `write ${CONFIG}`,
    'systemctl restart containerd',
    'systemctl enable --now crid',
    `write ${KUBELET}`,
    `write ${DROP_IN}`,
    'systemctl daemon-reload',
    'systemctl start kubelet',
    'systemctl stop kubelet',
    'systemctl disable --now crid',
    'systemctl clean --what=fdstore crid',
    `write ${CONFIG}`,
    'systemctl restart containerd',
    `write ${KUBELET}`,
    `remove ${DROP_IN}`,
    'systemctl daemon-reload',
    'systemctl start kubelet',
  ]);
});

test('without --yes the plan is shown and nothing is changed', async () => {
  const files = {
    [CONFIG]: 'version = 3\n',
    [KUBELET]: kubeletConfig(CONTAINERD),
    [FLAGS]: 'KUBELET_KUBEADM_ARGS=""\n',
  };
  const node = makeNode(files);
  const { output } = await node.migrate('to-crid');
  assert.equal(
    output.slice(output.indexOf('plan:')),
    `plan: move the node to crid
1. stop the kubelet
   systemctl stop kubelet
2. configure containerd
   --- ${CONFIG}
   +++ ${CONFIG}
   @@ -1 +1 @@
    version = 3
   +disabled_plugins = ["io.containerd.grpc.v1.cri"]
   systemctl restart containerd
3. start crid
   systemctl enable --now crid
4. configure the kubelet
   --- ${KUBELET}
   +++ ${KUBELET}
   @@ -1 +1 @@
    apiVersion: kubelet.config.k8s.io/v1beta1
   -containerRuntimeEndpoint: ${CONTAINERD} # ours
   +containerRuntimeEndpoint: ${CRID} # ours
    kind: KubeletConfiguration
   --- /dev/null
   +++ ${DROP_IN}
   @@ -1 +1 @@
   +# ${DROP_IN}
   +[Unit]
   +Wants=crid.service
   +After=crid.service
   systemctl daemon-reload
5. start the kubelet
   systemctl start kubelet
by hand: kubeadm before v1.36 also reads an annotation of the node. Where kubectl may change it:
by hand: kubectl annotate node NAME --overwrite kubeadm.alpha.kubernetes.io/cri-socket=${CRID}
nothing was changed: repeat with --yes to do this`,
  );
  const check = await node.migrate(undefined);
  assert.ok(check.output.includes('plan: move the node to crid'));
  assert.deepEqual([node.files(), node.changes], [files, []]);
});

test('a node that has moved has nothing left to do, and --check plans the move back', async () => {
  const node = makeNode({ [CONFIG]: 'version = 3\n', [KUBELET]: kubeletConfig(CONTAINERD) });
  await node.migrate('to-crid', true);
  const before = node.changes.length;
  const { output } = await node.migrate('to-crid', true);
  assert.match(output, /the node has moved to crid: nothing is left to do/);
  assert.match((await node.migrate(undefined)).output, /plan: move the node to containerd's CRI plugin/);
  assert.equal(node.changes.length, before);
});

test('a file that was changed after the move keeps that change on the way back', async () => {
  const node = makeNode({ [CONFIG]: 'version = 3\n', [KUBELET]: kubeletConfig(CONTAINERD) });
  await node.migrate('to-crid', true);
  node.write(KUBELET, `${node.files()[KUBELET]}maxPods: 7\n`);
  await node.migrate('back', true);
  assert.deepEqual(node.files(), { [CONFIG]: 'version = 3\n', [KUBELET]: `${kubeletConfig(CONTAINERD)}maxPods: 7\n` });
});

test('the plugin that an import disables is enabled there', async () => {
  const imported = '/etc/containerd/conf.d/cri.toml';
  const node = makeNode({
    [CONFIG]: 'version = 3\nimports = ["conf.d/*.toml"]\n',
    [imported]: 'version = 3\ndisabled_plugins = ["cri", "a"] # not here\n',
    [KUBELET]: kubeletConfig(CRID),
  });
  Object.assign(node.units.crid, { active: true, enabled: true });
  assert.equal((await node.migrate('back', true)).error, undefined);
  assert.deepEqual(node.files(), {
    [CONFIG]: 'version = 3\nimports = ["conf.d/*.toml"]\n',
    [imported]: 'version = 3\ndisabled_plugins = ["a"] # not here\n',
    [KUBELET]: kubeletConfig(CONTAINERD),
  });
});

/** As Kubespray installs a kubelet. */
const KUBESPRAY = {
  [CONFIG]: 'version = 3\n',
  '/etc/systemd/system/kubelet.service':
    '[Service]\nEnvironmentFile=-/etc/kubernetes/kubelet.env\nExecStart=/usr/local/bin/kubelet $KUBELET_ARGS\n',
  '/etc/kubernetes/kubelet.env': `KUBELET_ARGS="--config=/etc/kubernetes/kubelet-config.yaml \\\n--container-runtime-endpoint=${CONTAINERD} \\\n "\n`,
  '/etc/kubernetes/kubelet-config.yaml': 'kind: KubeletConfiguration\n',
  '/etc/default/kubelet': `UNUSED=--container-runtime-endpoint=${CONTAINERD}\n`,
};
const KUBESPRAY_UNIT = `FragmentPath=/etc/systemd/system/kubelet.service
DropInPaths=
EnvironmentFiles=/etc/kubernetes/kubelet.env (ignore_errors=yes)`;

for (const [what, unitFiles] of [
  ['that systemd shows', KUBESPRAY_UNIT],
  ['that the unit names', ''],
  ['that a pattern finds', KUBESPRAY_UNIT.replace('kubelet.env', '*.env')],
] as const) {
  test(`flags in an environment file ${what} are moved, and moved back`, async () => {
    const node = makeNode(KUBESPRAY);
    node.unitFiles = unitFiles;
    assert.equal((await node.migrate('to-crid', true)).error, undefined);
    const moved = node.files();
    assert.equal(
      moved['/etc/kubernetes/kubelet.env'],
      KUBESPRAY['/etc/kubernetes/kubelet.env'].replace(CONTAINERD, CRID),
    );
    assert.equal(moved['/etc/default/kubelet']?.includes(CONTAINERD), unitFiles !== '');
    node.unitFiles = unitFiles.replace('DropInPaths=', `DropInPaths=${DROP_IN}`);
    assert.equal((await node.migrate('back', true)).error, undefined);
    assert.deepEqual(node.files(), KUBESPRAY);
  });
}

const PACKAGED = '/usr/lib/systemd/system/kubelet.service';
const PACKAGED_CONF = '/usr/lib/systemd/system/kubelet.service.d/20-flags.conf';
const OWN_CONF = '/etc/systemd/system/kubelet.service.d/20-flags.conf';
const LAST_CONF = '/etc/systemd/system/kubelet.service.d/30-last.conf';

/** Nodes by the rule of precedence that they show: the files, and those that name crid after the move. */
const PRECEDENCE: Readonly<Record<string, readonly [files: Files, moved: readonly string[]]>> = {
  'a drop-in in /etc masks the one of the same name in /usr/lib': [
    {
      [PACKAGED_CONF]: `Environment=F=--container-runtime-endpoint=unix:///run/crio/crio.sock\n`,
      [OWN_CONF]: `Environment=F=--container-runtime-endpoint=${CONTAINERD}\n`,
    },
    [OWN_CONF],
  ],
  "a later file in /etc overrides a package's flag": [
    {
      [PACKAGED]: `ExecStart=k --container-runtime-endpoint=${CONTAINERD} $F\n`,
      [LAST_CONF]: `Environment=F=--container-runtime-endpoint=${CONTAINERD}\n`,
    },
    [LAST_CONF],
  ],
  "a file below /usr/local is the administrator's": [
    {
      '/etc/systemd/system/kubelet.service': 'EnvironmentFile=/usr/local/etc/kubelet.env\n',
      '/usr/local/etc/kubelet.env': `F=--container-runtime-endpoint=${CONTAINERD}\n`,
    },
    ['/usr/local/etc/kubelet.env'],
  ],
  "the configuration that the administrator's drop-in names counts": [
    {
      [PACKAGED_CONF]: 'Environment=F=--config=/packaged.yaml\n',
      [LAST_CONF]: 'Environment=F=--config=/last.yaml\n',
      '/packaged.yaml': 'kind: KubeletConfiguration\n',
      '/last.yaml': 'kind: KubeletConfiguration\n',
    },
    ['/last.yaml'],
  ],
};

for (const [what, [files, moved]] of Object.entries(PRECEDENCE)) {
  test(`precedence of units: ${what}`, async () => {
    const node = makeNode({ [CONFIG]: 'version = 3\n', ...files });
    assert.equal((await node.migrate('to-crid', true)).error, undefined);
    const naming = Object.entries(node.files()).filter(([, text]) => text.includes(CRID));
    assert.deepEqual(
      naming.map(([path]) => path),
      moved,
    );
  });
}

const OBSTACLES: Readonly<Record<string, readonly [change: (node: MadeNode) => void, error: RegExp]>> = {
  required_plugins: [
    (node) => node.write(CONFIG, 'required_plugins = ["io.containerd.grpc.v1.cri"]\n'),
    /required_plugins names the CRI plugin/,
  ],
  'the socket of another runtime': [
    (node) => node.write(KUBELET, kubeletConfig('unix:///run/crio/crio.sock')),
    /config.yaml: containerRuntimeEndpoint is unix:\/\/\/run\/crio/,
  ],
  'a kubelet configuration in JSON': [
    (node) => node.write(KUBELET, '{"kind": "KubeletConfiguration"}'),
    /config.yaml: cannot be edited safely/,
  ],
  'a flag in a unit of a package': [
    (node) =>
      node.write('/usr/lib/systemd/system/kubelet.service', `ExecStart=k --container-runtime-endpoint=${CONTAINERD}\n`),
    /set it in \/etc/,
  ],
  'a flag of a package that an earlier file in /etc names too': [
    (node) => {
      node.write(`${PACKAGED}.d/20-flags.conf`, `Environment=F=--container-runtime-endpoint=${CONTAINERD}\n`);
      node.write(
        `/etc/systemd/system/kubelet.service.d/10-a.conf`,
        `Environment=F=--container-runtime-endpoint=${CONTAINERD}\n`,
      );
    },
    /20-flags.conf: --container-runtime-endpoint is in a file that a package or a boot replaces/,
  ],
  'a drop-in of the administrator in the place of ours': [
    (node) => node.write(DROP_IN, '[Service]\nNice=1\n'),
    /10-crid.conf: exists, and does not order the kubelet/,
  ],
  'a file of the kubelet that is not UTF-8': [
    (node) => node.write(KUBELET, Buffer.from('a: \xe9\n', 'latin1')),
    /^\/var\/lib\/kubelet\/config.yaml: is not UTF-8, so it cannot be edited safely$/m,
  ],
  'a containerd configuration that is not UTF-8': [
    (node) => node.write(CONFIG, Buffer.from('# \xe9\n', 'latin1')),
    /config.toml: is not UTF-8/,
  ],
  'a flag with a variable': [
    (node) => node.write(FLAGS, 'A="--container-runtime-endpoint=$S"\n'),
    /kubeadm-flags.env: --container-runtime-endpoint has no literal value/,
  ],
  'no crid.service': [(node) => (node.units.crid.loaded = false), /no crid.service/],
  'another config.toml': [
    (node) => (node.execStart = '/usr/bin/containerd --config /opt/c.toml'),
    /reads \/opt\/c.toml/,
  ],
};

for (const [what, [change, error]] of Object.entries(OBSTACLES)) {
  test(`a move is refused before it changes anything: ${what}`, async () => {
    const node = makeNode({ [CONFIG]: 'version = 3\n', [KUBELET]: kubeletConfig(CONTAINERD) });
    change(node);
    const files = node.files();
    assert.match((await node.migrate('to-crid', true)).error ?? '', error);
    assert.deepEqual([node.files(), node.changes], [files, []]);
  });
}

test('a move back is refused while pods have no pause container, and names them', async () => {
  const node = makeNode({ [CONFIG]: 'version = 3\n', [KUBELET]: kubeletConfig(CONTAINERD) });
  await node.migrate('to-crid', true);
  node.pinned = ['p1'];
  assert.match((await node.migrate('back', true)).error ?? '', /pod p1 has no pause container/);
  assertMoved(node);
});
