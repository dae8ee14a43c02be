import { CriError } from '../base/errors.js';
import type { TerminalSize } from '../streaming/streaming.js';
import type { ContainerDeps } from './container-deps.js';

/**
 * Returns a function that sets a terminal's size, one call at a time. Of the sizes that come during a call, only the
 * last is set.
 */
export function resizer(
  { containerd, log }: Pick<ContainerDeps, 'containerd' | 'log'>,
  target: { readonly containerId: string; readonly execId?: string },
): (size: TerminalSize) => void {
  let next: TerminalSize | undefined;
  let busy = false;

  const work = async (): Promise<void> => {
    while (next) {
      const size = next;
      next = undefined;
      await containerd.tasks.resizePty({ ...target, ...size });
    }
  };

  return (size) => {
    next = size;
    if (busy) return;
    busy = true;
    work().then(
      () => (busy = false),
      (thrown: unknown) => {
        busy = false;
        log.debug({ ...target, err: CriError.from(thrown).message }, 'terminal not resized');
      },
    );
  };
}
