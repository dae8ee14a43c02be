/** Runs `work` and prints one line with its name and duration. */
export type Step = <T>(what: string, work: () => Promise<T>) => Promise<T>;

export const spokenSteps =
  (write: (text: string) => void): Step =>
  async (what, work) => {
    const startedMs = performance.now();
    const took = (): string => `${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
    try {
      const value = await work();
      write(`  ${what} (${took()})\n`);
      return value;
    } catch (error) {
      write(`  ${what}: failed after ${took()}\n`);
      throw error;
    }
  };

export const silentSteps: Step = (_what, work) => work();
