import { run } from '../../tools/stack/exec.js';

const LIMIT_MS = 300_000;

export const systemctl = (...args: string[]): Promise<string> => run('systemctl', args, { timeoutMs: LIMIT_MS });

/** Returns a property of crid's unit. */
export const property = async (name: string): Promise<string> => (await systemctl('show', '-P', name, 'crid')).trim();
