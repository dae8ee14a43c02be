/** How many times slower this machine may be than the machine that the limits were chosen for. */
const factor = Number(process.env['CRID_TEST_SLOWNESS'] ?? 1);

export const limitMs = (milliseconds: number): number => milliseconds * factor;

/** The same for a time limit in whole seconds in a manifest. */
export const limitSeconds = (seconds: number): number => Math.ceil(seconds * factor);

/** Reduces a number of things done at once for a slow machine. */
export const limitCount = (count: number): number => Math.ceil(count / factor);
