import { CriError } from '../base/errors.js';
import type { Config } from '../config/schema.js';
import { keyText } from '../config/tree.js';
import { runtimeOptions } from '../containerd/runtime-options.js';

/**
 * Checks the options that each runtime handler passes to its runtime. Throws INVALID_ARGUMENT with one line for each
 * handler whose options are wrong.
 */
export function checkRuntimeOptions({ runtime }: Config): void {
  const problems = Object.entries(runtime.containerd.runtimes).flatMap(([name, { runtime_type, options }]) => {
    try {
      runtimeOptions(runtime_type, options);
      return [];
    } catch (thrown) {
      const path = keyText(['runtime', 'containerd', 'runtimes', name, 'options']);
      return [CriError.from(thrown).prefixed(path).message];
    }
  });
  if (problems.length > 0) throw new CriError('INVALID_ARGUMENT', problems.join('\n'));
}
