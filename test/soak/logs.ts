import { Command } from 'commander';
import { disposeAll } from '../../tools/stack/disposers.js';
import { startCrid } from '../harness/crid.js';
import { killWhileWriting } from '../harness/kill-while-writing.js';
import { pullImage } from '../harness/pod.js';
import { startStack } from '../harness/test-stack.js';

/** Kills crid repeatedly while a container writes 1 MB/s, and reports how long the container's writes were blocked. */

const { kills, rate } = new Command('soak-logs')
  .description('kill -9 of crid while a container writes numbered lines: none may be missing, twice or torn')
  .option('--kills <n>', 'how often', Number, 50)
  .option('--rate <bytes>', 'bytes a second', Number, 1_000_000)
  .parse()
  .opts<{ kills: number; rate: number }>();

try {
  const stack = await startStack();
  const crid = await startCrid(stack, { config: { crid: { log_level: 'info' } } });
  await pullImage(crid);
  const { lines, longestWriteMs, awayMs } = await killWhileWriting(crid, stack, {
    kills,
    bytesPerSecond: rate,
    onKill: (kill) => process.stderr.write(`\r${kill} of ${kills}`),
  });
  const sorted = [...awayMs].sort((a, b) => a - b);
  const ms = (value = NaN): string => `${Math.round(value)} ms`;
  process.stdout.write(
    [
      `\n${lines} lines over ${kills} kills: none missing, none twice, none torn`,
      `from a kill until crid answered: median ${ms(sorted[Math.floor(sorted.length / 2)])}, longest ${ms(sorted.at(-1))}`,
      `longest write of the container: ${ms(longestWriteMs)}\n`,
    ].join('\n'),
  );
  await crid.stop();
} finally {
  await disposeAll();
}
