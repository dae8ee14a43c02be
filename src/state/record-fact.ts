import { CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import type { Container } from './records.js';
import type { State } from './state.js';

/**
 * Publishes a change that has already happened, and then persists it. A failure to persist, such as a full disk, is
 * logged: the next change of the container persists it too, and after a restart crid reads it from the task.
 */
export async function recordFact(
  { state, log }: { state: State; log: Logger },
  id: string,
  change: (container: Container) => Container,
): Promise<void> {
  const before = state.containers.byId(id);
  if (state.publishContainer(id, change) === before) return;
  await state
    .persistContainer(id)
    .catch((thrown: unknown) =>
      log.warn({ container: id, err: CriError.from(thrown).message }, 'status not persisted'),
    );
}
