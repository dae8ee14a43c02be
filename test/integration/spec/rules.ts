import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { containerConfig, podConfig } from '../../harness/pod.js';
import { pullImage, runPod, type RunningPod } from '../../harness/pod.js';
import type { Suite } from '../rpc/suite.js';

export type PodPart = NonNullable<Parameters<typeof podConfig>[1]>;
export type ContainerPart = NonNullable<Parameters<typeof containerConfig>[0]>;
export type Context = NonNullable<NonNullable<ContainerPart['linux']>['security_context']>;

/** A field of a request, and its visible effect inside the running container. */
export interface Rule {
  readonly name: string;
  /** A key of the file's pods. The default is a plain pod. */
  readonly pod?: string;
  /** A function if it needs a folder of the test or ids of other objects. */
  readonly config?: ContainerPart | ((scene: Scene) => Promise<ContainerPart> | ContainerPart);
  /** A shell script that runs in the container. */
  readonly command: string;
  /** The output of the script, without leading and trailing white space; a RegExp may match a part. */
  readonly expected: string | RegExp | ((scene: Scene) => string | Promise<string>);
  readonly skip?: string | false;
}

export interface Scene {
  readonly suite: Suite;
  readonly pod: RunningPod;
}

export interface Pods {
  readonly [name: string]: (PodPart & { readonly handler?: string }) | undefined;
}

/** Creates a test for each rule. A pod is created when the first rule needs it, and shared by the file. */
export function testRules(suite: Suite, rules: readonly Rule[], pods: Pods = {}): void {
  const running = new Map<string, Promise<RunningPod>>();
  const podOf = (name: string): Promise<RunningPod> => {
    const { handler = '', ...part } = pods[name] ?? {};
    const pod = running.get(name) ?? runPod(suite.crid, suite.stack, part, handler);
    running.set(name, pod);
    return pod;
  };
  for (const rule of rules) {
    test(rule.name, { skip: rule.skip ?? false }, async () => {
      const pod = await podOf(rule.pod ?? '');
      const config = typeof rule.config === 'function' ? await rule.config({ suite, pod }) : (rule.config ?? {});
      await assertInside(suite, pod, config, rule);
    });
  }
}

/** Runs a container and a script in it, compares the script's output, and removes the container. */
export async function assertInside(
  suite: Suite,
  pod: RunningPod,
  config: ContainerPart,
  { command, expected }: Pick<Rule, 'command' | 'expected'>,
): Promise<void> {
  const said = await inside(suite, pod, config, command);
  if (expected instanceof RegExp) assert.match(said, expected);
  else assert.equal(said, typeof expected === 'function' ? await expected({ suite, pod }) : expected);
}

export async function inside(suite: Suite, pod: RunningPod, config: ContainerPart, script: string): Promise<string> {
  for (const image of [config.image, ...(config.mounts ?? []).map((mount) => mount.image)]) {
    if (image?.image) await pullImage(suite.crid, image.image);
  }
  const id = await pod.run(config);
  try {
    const { stdout, stderr } = await pod.exec(id, ['sh', '-c', script]);
    return (stdout + stderr).trim();
  } finally {
    await suite.crid.runtime.removeContainer({ container_id: id });
  }
}

export const context = (security_context: Context): ContainerPart => ({ linux: { security_context } });
export const value = (number: number): { value: bigint } => ({ value: BigInt(number) });
export const testImage = (name: string): { image: string } => ({ image: `docker.io/crid-test/${name}:latest` });
