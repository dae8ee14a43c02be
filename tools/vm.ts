import { parseArgs } from 'node:util';
import { architectureOf } from './stack/architectures.js';
import { disposeAll } from './stack/disposers.js';
import { spokenSteps } from './stack/steps.js';
import { sshCommand } from './vm/machine.js';
import { useNode } from './vm/node.js';
import { readMachine } from './vm/owner.js';

/** `make vm`: runs a node to explore, until Ctrl-C. `--arch arm64` makes it one of another architecture. */

const say = (text: string): void => void process.stdout.write(text);

try {
  const { values } = parseArgs({ options: { arch: { type: 'string', default: 'amd64' } } });
  const architecture = architectureOf(values.arch);
  const { dir } = await useNode(architecture, spokenSteps(say));
  const chosen = architecture === 'amd64' ? '' : ` ARCH=${architecture}`;
  say(`
a shell on it   ${sshCommand(await readMachine(dir))}
tests on it     make test-vm${chosen} CRID_VM=${dir}

Ctrl-C ends it, and all that was written on its disk is gone.
`);
  // Background processes do not keep this process alive.
  setInterval(() => undefined, 3_600_000);
} catch (thrown) {
  say(`make vm: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  await disposeAll();
  process.exit(1);
}
