import { goTools, type GoTool } from './stack/go-modules.js';
import { ensureGoTool } from './stack/gotools.js';
import { stackLayout } from './stack/layout.js';

/** Builds a Go program that tests use, so that they need not wait for it: `node build/tools/go-tool.js kubelet`. */
const [name] = process.argv.slice(2);
if (!isGoTool(name)) {
  process.stderr.write(`usage: go-tool.js ${goTools.join('|')}\n`);
  process.exit(2);
}
process.stdout.write(`${await ensureGoTool(stackLayout(), name)}\n`);

function isGoTool(text: string | undefined): text is GoTool {
  return goTools.some((tool) => tool === text);
}
