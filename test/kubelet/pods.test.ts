import { describe } from 'node:test';
import { allTests, CONFIG } from './pods/all.js';
import { AT_ONCE, kubeletSuite } from './suite.js';

describe('pods of a kubelet', AT_ONCE, () => {
  allTests(kubeletSuite({ config: CONFIG }));
});
