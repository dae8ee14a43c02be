/**
 * Like Promise.all, but rejects only when every promise has settled. For the parallel work of one step: its undo must
 * not run while a part still works, because it would miss what that part creates.
 */
export async function allEnded(works: readonly Promise<unknown>[]): Promise<void> {
  await Promise.allSettled(works);
  await Promise.all(works);
}
