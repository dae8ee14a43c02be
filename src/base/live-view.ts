/**
 * Returns an object with these keys, each of which reads its value from what `read` returns at that moment. Take no
 * value out of it that has to follow a change.
 */
export function liveView<T extends object>(keys: readonly (keyof T)[], read: () => T): T {
  const view = {} as T;
  for (const key of keys) Object.defineProperty(view, key, { enumerable: true, get: () => read()[key] });
  return view;
}
