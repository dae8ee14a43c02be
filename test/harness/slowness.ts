/** How many times longer this machine may take than the one that the limits were chosen for. */
const factor = Number(process.env['CRID_TEST_SLOWNESS'] ?? 1);

export const limitMs = (milliseconds: number): number => milliseconds * factor;

/** The same for what a manifest says in whole seconds. */
export const limitSeconds = (seconds: number): number => Math.ceil(seconds * factor);

/** How many of what a machine does at once a slow one may. */
export const limitCount = (count: number): number => Math.ceil(count / factor);
