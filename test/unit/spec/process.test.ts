import assert from 'node:assert/strict';
import { test } from 'node:test';
import { containerArgs, pauseArgs, workingDirectory } from '../../../src/spec/args.js';
import { containerEnv } from '../../../src/spec/env.js';
import { execProcess } from '../../../src/spec/exec-process.js';
import { oomScoreAdj } from '../../../src/spec/oom-score.js';
import { buildContainerSpec } from '../../../src/spec/container-spec.js';
import { containerConfig, containerInput, HOST, OPTIONS, refusal } from './inputs.js';

test('args: a command replaces the entrypoint and Cmd, args replace only Cmd', () => {
  const image = { config: { Entrypoint: ['/entry'], Cmd: ['a', 'b'] } };
  const args = (command: string[], given: string[]): string[] => containerArgs({ command, args: given }, image);
  assert.deepEqual(
    [args([], []), args([], ['x']), args(['sh'], []), args(['sh'], ['x'])],
    [['/entry', 'a', 'b'], ['/entry', 'x'], ['sh'], ['sh', 'x']],
  );
});

test('args: an empty entrypoint counts as none, and an empty result is refused', () => {
  const emptied = { config: { Entrypoint: [''], Cmd: ['run'] } };
  assert.deepEqual(
    [
      containerArgs({ command: [], args: [] }, emptied),
      refusal(() => containerArgs({ command: [], args: [] }, { config: null })),
      pauseArgs({ config: { Entrypoint: ['/pause'], Cmd: ['-v'] } }, 'pause'),
      refusal(() => pauseArgs({}, 'pause:3')),
    ],
    [
      ['run'],
      'INVALID_ARGUMENT config.command: neither the request nor the image names a command',
      ['/pause', '-v'],
      'FAILED_PRECONDITION pause image pause:3: neither an entrypoint nor a command',
    ],
  );
});

test('cwd: the request, else the image, else the root', () => {
  const image = { config: { WorkingDir: 'srv' } };
  assert.deepEqual(
    [workingDirectory('/tmp', image), workingDirectory('', image), workingDirectory('', {})],
    ['/tmp', '/srv', '/'],
  );
});

test('env: later values replace earlier ones in place, and a bare name of the image removes it', () => {
  const env = containerEnv({
    config: containerConfig({
      tty: true,
      envs: [
        { key: 'B', value: Buffer.from('é=2') },
        { key: 'PATH', value: Buffer.from('/x') },
      ],
    }),
    image: { config: { Env: ['A=1', 'B=1', 'TERM', 'C='] } },
    hostname: 'h',
  });
  assert.deepEqual(env, ['PATH=/x', 'HOSTNAME=h', 'A=1', 'B=é=2', 'C=']);
});

test('oom score: clamped only if necessary, refused when out of range', () => {
  const host = { ...HOST, oomScoreAdj: 100 };
  assert.deepEqual(
    [
      oomScoreAdj(-998, host, OPTIONS),
      oomScoreAdj(-998n, host, { ...OPTIONS, restrictOomScoreAdj: true }),
      oomScoreAdj(-998n, { ...host, mayLowerOomScore: false }, OPTIONS),
      oomScoreAdj(500n, { ...host, mayLowerOomScore: false }, OPTIONS),
      refusal(() => oomScoreAdj(1001n, host, OPTIONS)),
    ],
    [
      -998,
      100,
      100,
      500,
      'INVALID_ARGUMENT config.linux.resources.oom_score_adj: expected -1000 to 1000, received 1001',
    ],
  );
});

test('exec: the process of the container with another command and its own terminal', () => {
  const spec = buildContainerSpec(containerInput({ config: containerConfig({ tty: true }) }));
  const { terminal: _terminal, ...process } = spec.process;
  assert.deepEqual(
    [execProcess(spec.process, ['ls', '-l'], false), execProcess(process, ['sh'], true)],
    [
      { ...process, args: ['ls', '-l'] },
      { ...process, terminal: true, args: ['sh'], env: [...process.env] },
    ],
  );
  assert.deepEqual(execProcess({ ...process, env: ['A=1'] }, ['sh'], true).env, ['A=1', 'TERM=xterm']);
});
