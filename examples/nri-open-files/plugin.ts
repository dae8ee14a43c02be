#!/usr/bin/node
import { readFileSync } from 'node:fs';
import { runPlugin, type AboutContainer, type CreateAnswer } from 'crid/nri';

/**
 * An NRI plugin that limits the open files of containers. The limit is the annotation of the pod, else the
 * configuration of the plugin, which is a number. The container finds it in the variable OPEN_FILES.
 *
 *     plugin.js [INDEX NAME SOCKET]
 *
 * A launched plugin needs no arguments.
 */

const ANNOTATION = 'open-files.nri.example/limit';

const [index, name, socketPath] = process.argv.slice(2);
let byDefault = '';

await runPlugin(
  {
    configure({ config, runtime_name, runtime_version }) {
      byDefault = config.trim();
      if (byDefault !== '') limitOf(byDefault, 'the configuration');
      console.error(`configured by ${runtime_name} ${runtime_version}`);
    },
    synchronize({ pods, containers }) {
      console.error(`there are ${pods.length} pods and ${containers.length} containers`);
    },
    createContainer,
    removePodSandbox({ pod }) {
      console.error(`pod ${pod.namespace}/${pod.name} is gone`);
    },
  },
  { name, index, socketPath },
);
console.error('the plugin has ended');

/** Fails the create if the annotation is no limit. */
function createContainer({ pod, container }: AboutContainer): CreateAnswer | undefined {
  const text = pod.annotations[ANNOTATION] ?? byDefault;
  if (text === '' || container.rlimits.some(({ type }) => type === 'RLIMIT_NOFILE')) return undefined;
  const limit = limitOf(text, `annotation "${ANNOTATION}"`);
  return {
    adjust: {
      rlimits: [{ type: 'RLIMIT_NOFILE', soft: limit, hard: limit }],
      env: [{ key: 'OPEN_FILES', value: String(limit) }],
    },
  };
}

function limitOf(text: string, where: string): bigint {
  const most = BigInt(readFileSync('/proc/sys/fs/nr_open', 'utf8'));
  if (!/^[0-9]{1,10}$/.test(text) || BigInt(text) > most)
    throw new Error(`${where}: expected a number up to ${most}, received "${text}"`);
  return BigInt(text);
}
