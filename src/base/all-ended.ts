/**
 * As Promise.all, but rejects only when all have ended. For the work of one step: its undo must not run beside a part that
 * goes on, and miss what that makes.
 */
export async function allEnded(works: readonly Promise<unknown>[]): Promise<void> {
  await Promise.allSettled(works);
  await Promise.all(works);
}
