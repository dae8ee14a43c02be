import { CriError } from '../../../src/base/errors.js';

/** A call that no unit test needs yet. A test that needs it adds it, and to the contract in test/contract/. */
export const notInMemory = (method: string) => async (): Promise<never> => {
  throw new CriError('UNIMPLEMENTED', `the in-memory containerd has no ${method}`);
};
